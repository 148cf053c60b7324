"""Values: what the other rooms speak of. They know no clock, no disk and no database."""
