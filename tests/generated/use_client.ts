// Uses the client that @hey-api/openapi-ts made. Arguments: address, bundle for a form, bundle for a raw body. The
// password is read from standard input. Prints JSON: what was imported and what is listed.
import { readFileSync } from "node:fs";

import { client } from "./client/client.gen";
import { createImport, createImportFromBody, listCertificates, listImportItems, logIn } from "./client/sdk.gen";
import type { Import } from "./client/types.gen";

const [address, formBundle, rawBundle] = process.argv.slice(2);
const password = readFileSync(0, "utf8").trim();

async function main(): Promise<void> {
    client.setConfig({ baseUrl: address });
    const refused = await logIn({ body: { login: "administrator", password: "wrong" } });
    const code = refused.error && "code" in refused.error ? refused.error.code : undefined;
    const session = await logIn({ body: { login: "administrator", password }, throwOnError: true });
    client.setConfig({ baseUrl: address, auth: session.data.access_token });

    const headers = { Prefer: "wait=60" };
    const form = new File([readFileSync(formBundle)], "bundle.zip");
    const byForm = await createImport({
        body: { bundle: form, identity_type: "SERIAL_NUMBER" },
        headers,
        throwOnError: true,
    });
    const byBody = await createImportFromBody({
        body: new Blob([readFileSync(rawBundle)]),
        query: { identity_type: "SERIAL_NUMBER" },
        headers,
        throwOnError: true,
    });
    const imports: Import[] = [byForm.data, byBody.data];
    const items: (string | null)[][] = [];
    for (const each of imports) {
        const page = await listImportItems({
            path: { import_id: each.id },
            headers: { Accept: "application/json" },
            throwOnError: true,
        });
        if (typeof page.data === "string") throw new Error("a page was expected");
        items.push(...page.data.items.map((item) => [item.identity, item.outcome]));
    }
    const certificates = await listCertificates({ query: { limit: 1000 }, throwOnError: true });
    console.log(
        JSON.stringify({
            code,
            states: imports.map((each) => each.state),
            items,
            certificates: certificates.data.items.map((each) => each.identity).sort(),
        }),
    );
}

main().catch((error: unknown) => {
    console.error(error);
    process.exitCode = 1;
});
