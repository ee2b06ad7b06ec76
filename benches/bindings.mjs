// What a call from Node costs, next to Rust on the same messages: `make bench-node`.
//
// Rust's side is `brightline score`: it reads the same records and writes the same verdicts. Two logs, one twice as long
// as the other, take its start out of the figure. Every figure is the best of several runs that alternate, which other work on the machine disturbs least.

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

const RECORDS = 4_000;
const ROUNDS = 7;
const log = readFileSync(join(root, 'policies/examples/log.jsonl'), 'utf8').trim().split('\n');
const folder = mkdtempSync(join(tmpdir(), 'brightline-'));

function records(count) {
    return Array.from({ length: count }, (_, at) => JSON.parse(log[at % log.length]));
}

/** Milliseconds that `score` takes for a log of so many records. */
function score(count, threads, models) {
    const path = join(folder, `${count}.jsonl`);
    const args = ['score', '-q', '-p', 'default', '--threads', threads, '-o', '/dev/null', ...models, path];
    const started = performance.now();
    const { status, stderr } = spawnSync(command, args.map(String), { encoding: 'utf8' });
    if (status > 1) throw new Error(stderr);
    return performance.now() - started;
}

/** Microseconds a record, in Rust and through the border. */
async function compare(name, count, models, args) {
    const guard = new Guard({ models });
    const inputs = records(count);
    for (const size of [count, 2 * count]) {
        writeFileSync(join(folder, `${size}.jsonl`), records(size).map((it) => JSON.stringify(it) + '\n').join(''));
    }
    const threads = availableParallelism();
    const times = { short: [], long: [], node: [], read: [], shortBatch: [], longBatch: [], nodeBatch: [] };
    for (let round = 0; round < ROUNDS; round += 1) {
        times.short.push(score(count, 1, args));
        times.long.push(score(2 * count, 1, args));
        let started = performance.now();
        for (const input of inputs) guard.check(input);
        times.node.push(performance.now() - started);
        started = performance.now();
        for (const input of inputs) if (guard.check(input).action === '') throw new Error();
        times.read.push(performance.now() - started);
        times.shortBatch.push(score(count, threads, args));
        times.longBatch.push(score(2 * count, threads, args));
        started = performance.now();
        await guard.checkBatch(inputs);
        times.nodeBatch.push(performance.now() - started);
    }
    const us = Object.fromEntries(Object.entries(times).map(([key, list]) => [key, (Math.min(...list) * 1000) / count]));
    const [rust, rustBatch] = [us.long - us.short, us.longBatch - us.shortBatch];
    const shown = (value) => `${value.toFixed(1)} µs`;
    console.log(`| ${name}, one thread | ${shown(rust)} | ${shown(us.node)} | ${shown(us.node - rust)} |`);
    console.log(`| ${name}, one thread, \`action\` read | ${shown(rust)} | ${shown(us.read)} | ${shown(us.read - rust)} |`);
    const ratio = `${((us.nodeBatch / rustBatch) * 100).toFixed(0)} % of Rust's time`;
    console.log(`| ${name}, ${threads} threads, \`checkBatch\` | ${shown(rustBatch)} | ${shown(us.nodeBatch)} | ${ratio} |`);
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
await compare('rules and models', RECORDS / 10, undefined, ['--models', join(root, 'models')]);
console.log(`\nfrom \`import\` to the first verdict, with both models: ${Math.min(...Array.from({ length: ROUNDS }, coldStart)).toFixed(0)} ms`);
rmSync(folder, { recursive: true });
