"""`python -m bulkcert` is `bulkcert`."""

from bulkcert.cli import main

if __name__ == "__main__":  # the web process is spawned, and imports this module on its way
    main(prog_name="bulkcert")
