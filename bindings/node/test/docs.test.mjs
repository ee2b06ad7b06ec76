import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const here = dirname(dirname(fileURLToPath(import.meta.url)));
const run = promisify(execFile);
/** A program, and what it prints where the next block says so. */
const EXAMPLE = /^```js\n([^]*?)^```\n(?:\n```text\n([^]*?)^```\n)?/gm;

for (const page of ['README.md', 'docs/node.md']) {
    const text = readFileSync(join(here, page), 'utf8');
    for (const [, program, printed] of text.matchAll(EXAMPLE)) {
        const line = text.slice(0, text.indexOf(program)).split('\n').length;
        test(`${page}:${line} runs`, async () => {
            const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program], { cwd: here });
            if (printed !== undefined) assert.equal(stdout, printed);
        });
    }
}

for (const name of readdirSync(join(here, 'examples')).filter((it) => it.endsWith('.mjs'))) {
    test(`examples/${name} runs`, async () => {
        const { stdout } = await run(process.execPath, [join('examples', name)], { cwd: here });
        const expected = join(here, 'examples', name.replace(/mjs$/, 'txt'));
        if (existsSync(expected)) assert.equal(stdout, readFileSync(expected, 'utf8'));
    });
}
