// What a call from Node costs, next to Rust on the same messages: `make bench-node`.
//
// Rust's side is `brightline score`: it reads the same records and writes the same verdicts, and says how many a second,
// its start left out. Every figure is the best of several runs that alternate, which other work on the machine disturbs
// least.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const target = process.env.CARGO_TARGET_DIR ?? join(root, 'target');
const command = process.env.BRIGHTLINE_COMMAND ?? join(target, 'release/brightline');
const package_ = join(target, 'node/package');
const { Guard } = createRequire(import.meta.url)(join(package_, 'dist/index.js'));

const RECORDS = 40_000;
const ROUNDS = 7;
const log = readFileSync(join(root, 'policies/examples/log.jsonl'), 'utf8').trim().split('\n');
const folder = mkdtempSync(join(tmpdir(), 'brightline-'));

function records(count) {
    return Array.from({ length: count }, (_, at) => JSON.parse(log[at % log.length]));
}

/** Microseconds a record that `score` takes. */
function score(path, threads, models) {
    const args = ['score', '-p', 'default', '--threads', threads, '-o', '/dev/null', ...models, path];
    const { status, stderr } = spawnSync(command, args.map(String), { encoding: 'utf8' });
    const [, rate] = /\((\d+) a second/.exec(stderr) ?? [];
    if (status > 1 || !rate) throw new Error(stderr);
    return 1e6 / rate;
}

/** Microseconds a record, in Rust and through the border. */
async function compare(name, count, models, args) {
    const guard = new Guard({ models });
    const inputs = records(count);
    const path = join(folder, `${count}.jsonl`);
    writeFileSync(path, inputs.map((it) => JSON.stringify(it) + '\n').join(''));
    const threads = availableParallelism();
    const us = { rust: [], node: [], read: [], border: [], rustBatch: [], nodeBatch: [] };
    const timed = async (list, run) => {
        const started = performance.now();
        await run();
        list.push(((performance.now() - started) * 1000) / count);
    };
    for (let round = 0; round < ROUNDS; round += 1) {
        us.rust.push(score(path, 1, args));
        await timed(us.node, () => inputs.forEach((input) => guard.check(input)));
        await timed(us.read, () => inputs.forEach((input) => guard.check(input).action));
        us.rustBatch.push(score(path, threads, args));
        await timed(us.nodeBatch, () => guard.checkBatch(inputs));
    }
    for (const input of inputs) {
        const started = performance.now();
        const verdict = guard.check(input);
        // The core cuts off the fraction of a microsecond.
        us.border.push((performance.now() - started) * 1000 - verdict.elapsedUs - 0.5);
    }
    const best = (list) => Math.min(...list);
    const shown = (value) => `${value.toFixed(1)} µs`;
    const border = us.border.sort((a, b) => a - b)[us.border.length >> 1];
    console.log(`| ${name}, one thread | ${shown(best(us.rust))} | ${shown(best(us.node))} | ${shown(border)} a call |`);
    console.log(`| ${name}, one thread, \`action\` read | ${shown(best(us.rust))} | ${shown(best(us.read))} | |`);
    const ratio = `${((best(us.rustBatch) / best(us.nodeBatch)) * 100).toFixed(0)} % of Rust's throughput`;
    console.log(`| ${name}, ${threads} threads, \`checkBatch\` | ${shown(best(us.rustBatch))} | ${shown(best(us.nodeBatch))} | ${ratio} |`);
}

/** Milliseconds from `import` to the first verdict, in a process of its own. */
function coldStart() {
    const program = `const started = performance.now();
        const { Guard } = await import(${JSON.stringify(join(package_, 'dist/index.mjs'))});
        const guard = new Guard();
        guard.check('Where is my parcel?').action;
        console.log(guard.models ? performance.now() - started : NaN);`;
    return Number(execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' }));
}

console.log(`${cpus()[0].model}, ${availableParallelism()} cores, Node ${process.versions.node}, ${new Date().toISOString().slice(0, 10)}`);
console.log(`\n| a record of the example log | Rust | Node | the border |\n| --- | --- | --- | --- |`);
await compare('rules', RECORDS, false, ['--no-models']);
await compare('rules and models', RECORDS / 25, undefined, ['--models', join(root, 'models')]);
console.log(`\nfrom \`import\` to the first verdict, with both models: ${Math.min(...Array.from({ length: ROUNDS }, coldStart)).toFixed(0)} ms`);
rmSync(folder, { recursive: true });
