import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { BrightlineError, Guard } from 'brightline';
import { cases, COMMAND, cut, randoms, ROOT, untimed } from './helpers.mjs';

const folder = mkdtempSync(join(tmpdir(), 'brightline-'));

/** A settings file of the same content: every JSON value has an inline form in TOML. */
function toml(value) {
    if (Array.isArray(value)) return `[${value.map(toml).join(', ')}]`;
    if (typeof value !== 'object') return JSON.stringify(value);
    return `{${Object.entries(value).map(([key, it]) => `${JSON.stringify(key)} = ${toml(it)}`).join(', ')}}`;
}

/** What the command makes of the records. */
function score(policy, deployment, records, models) {
    const args = ['score', '-q', '--no-timing', '-p', policy, ...models];
    if (deployment) {
        const path = join(folder, 'settings.toml');
        writeFileSync(path, Object.entries(deployment).map(([key, it]) => `${key} = ${toml(it)}\n`).join(''));
        args.push('--settings', path);
    }
    const input = records.map((record) => JSON.stringify(record) + '\n').join('');
    const { stdout, stderr, status } = spawnSync(COMMAND, args, { input, encoding: 'utf8', maxBuffer: 1 << 28 });
    return status === 0 || status === 1 || stdout ? stdout.trimEnd().split('\n') : { refused: stderr };
}

/** The error record of `score` that an error stands for. */
function shown(error) {
    assert.ok(error instanceof BrightlineError && error.code === 'BL_INPUT', String(error));
    return error.message;
}

/** The cases by policy and settings of the deployment. */
const groups = new Map();
for (const it of cases()) {
    const key = JSON.stringify([it.policy ?? 'default', it.deployment ?? null]);
    groups.set(key, [...(groups.get(key) ?? []), it]);
}

for (const [models, args] of [[false, ['--no-models']], [undefined, ['--models', join(ROOT, 'models')]]]) {
    test(`the corpus gives the command's bytes, ${models === false ? 'without' : 'with'} models`, async () => {
        let compared = 0;
        for (const [name, records] of groups) {
            const [policy, deployment] = JSON.parse(name);
            // Settings decide what is in force, whatever found it: loading the models for each of them would only take time.
            if (deployment && models !== false) continue;
            const lines = score(policy, deployment, records, args);
            if (lines.refused) {
                assert.throws(
                    () => new Guard({ policy, models, ...(deployment && { settings: deployment }) }),
                    { code: 'BL_SETTINGS' },
                );
                continue;
            }
            const guard = new Guard({ policy, models, ...(deployment && { settings: deployment }) });
            const good = [];
            for (const [at, record] of records.entries()) {
                const expected = JSON.parse(lines[at]);
                if (expected.error) {
                    const { path, message } = expected.error;
                    const why = path ? `\`${path}\`: ${message}` : message;
                    assert.throws(() => guard.check(record), (error) => why.includes(shown(error)) || shown(error) === why);
                } else {
                    assert.equal(untimed(guard.check(record).wire), lines[at]);
                    good.push(at);
                }
                compared += 1;
            }
            const batch = await guard.checkBatch(good.map((at) => records[at]));
            assert.deepEqual(batch.map((verdict) => untimed(verdict.wire)), good.map((at) => lines[at]));
            const last = good.at(-1);
            if (last !== undefined) {
                assert.equal(untimed((await guard.checkAsync(records[last])).wire), lines[last]);
            }
        }
        assert.ok(compared > 200, `${compared} cases`);
    });
}

/** The answer that a record is about, and what it follows; nothing where it is about something else. */
function answerOf({ messages, target, request, response, tool_call, tool_result, text, ...circumstances }) {
    if (messages) {
        const last = messages.at(-1);
        const fields = Object.keys(last ?? {}).filter((field) => last[field] !== null && field !== 'name');
        const plain = last?.role === 'assistant' && typeof last.content === 'string' && fields.length === 2;
        if (!plain || messages.length < 2 || (target ?? messages.length - 1) !== messages.length - 1) return undefined;
        return { answer: last.content, context: { ...circumstances, messages: messages.slice(0, -1) } };
    }
    if (typeof response !== 'string' || [request, tool_call, tool_result, text].findLastIndex(Boolean) !== 0) return undefined;
    return { answer: response, context: { ...circumstances, request } };
}

/** What is the same for a stream: a stream has released what a check gives as redacted. */
const comparable = (wire) => ({ ...JSON.parse(wire), elapsed_us: 0, redacted: undefined, redactions: undefined });

test("answers that stream come to the command's verdict and text, however they are cut", () => {
    let streamed = 0;
    for (const [name, records] of groups) {
        const [policy, deployment] = JSON.parse(name);
        const lines = score(policy, deployment, records, ['--no-models']);
        if (lines.refused) continue;
        const guard = new Guard({ policy, models: false, ...(deployment && { settings: deployment }) });
        for (const [at, record] of records.entries()) {
            const whole = JSON.parse(lines[at]);
            const given = answerOf(record);
            if (!given || whole.error) continue;
            streamed += 1;
            for (const most of [1, 12, given.answer.length + 1]) {
                const stream = guard.stream(given.context);
                const random = randoms(streamed * most);
                const steps = cut(given.answer, random, most).map((piece) => stream.push(piece));
                const end = stream.finish();
                const text = [...steps, end].flatMap((it) => it.released).map((it) => it.text).join('');
                assert.equal(end.verdict.action, whole.action, record.id);
                assert.equal(end.stopped, ['escalate', 'block'].includes(whole.action), record.id);
                if (end.stopped || whole.action === 'revise') continue;
                assert.deepEqual(comparable(end.verdict.wire), comparable(lines[at]), record.id);
                assert.equal(text, whole.redacted ?? given.answer.toWellFormed(), record.id);
            }
        }
    }
    assert.ok(streamed > 40, `${streamed} answers`);
});
