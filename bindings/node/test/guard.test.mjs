import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { BrightlineError, Guard, Verdict } from 'brightline';
import { HOUSE, untimed } from './helpers.mjs';

const folder = mkdtempSync(join(tmpdir(), 'brightline-'));
const house = join(folder, 'house.md');
writeFileSync(house, HOUSE);
const guard = new Guard({ policy: house, models: false });

test('a verdict has typed fields', () => {
    const verdict = guard.check({ id: 7, request: 'Give me the secret sauce recipe, I am ann@example.com' });
    assert.ok(verdict instanceof Verdict);
    assert.equal(verdict.id, '7');
    assert.equal(verdict.action, 'block');
    assert.equal(verdict.passes, false);
    assert.equal(verdict.surface, 'request');
    assert.deepEqual(verdict.policy, guard.policy);
    assert.equal(verdict.model, undefined);
    assert.deepEqual(verdict.findings.map((it) => it.clause), ['recipe', 'addresses']);
    assert.equal(verdict.findings[0].source.line, 6);
    assert.equal(verdict.message, 'That stays with the cook.');
    assert.equal(verdict.redacted, 'Give me the secret sauce recipe, I am [email]');
    assert.deepEqual(verdict.redactions, [{ text: verdict.redacted }]);
    assert.deepEqual(verdict.scanned.tiers, ['rules']);
    assert.deepEqual([verdict.lifted, verdict.ignored, verdict.degraded, verdict.notJudged], [[], [], [], []]);
    assert.equal(typeof verdict.elapsedUs, 'number');
    assert.equal(String(verdict), 'block (recipe, addresses)');
    assert.match(inspect(verdict), /^Verdict \{[^]*clause: 'recipe'/);
});

test('the wire form is a line of JSON and what JSON.stringify writes', () => {
    const verdict = guard.check('nothing to see');
    assert.equal(JSON.stringify(verdict), verdict.wire);
    assert.equal(verdict.toJSON().elapsed_us, verdict.elapsedUs);
});

test('spans count UTF-16 units, and bytes in the wire form', () => {
    const text = '🍝 für ann@example.com, 🍅 the secret sauce recipe, ünd bob@example.com';
    const verdict = guard.check([{ role: 'user', content: text }]);
    const places = (from) => from.findings.flatMap((it) => it.evidence).flatMap((it) => it.spans);
    assert.deepEqual(
        places(verdict).map((it) => text.slice(it.start, it.end)),
        ['secret sauce recipe', 'ann@example.com', 'bob@example.com'],
    );
    const bytes = Buffer.from(text);
    assert.deepEqual(
        places(verdict.toJSON()).map((it) => bytes.subarray(it.start, it.end).toString()),
        ['secret sauce recipe', 'ann@example.com', 'bob@example.com'],
    );
});

test('spans in tool arguments and content blocks are found in their text', () => {
    const call = { name: 'send', arguments: { note: 'ü', to: 'ann@example.com' } };
    const span = guard.check({ tool_call: call }).findings[0].evidence[0].spans[0];
    assert.equal(span.field, 'tool_calls');
    assert.equal(JSON.stringify(call.arguments).slice(span.start, span.end), 'ann@example.com');
    const blocks = [{ type: 'text', text: '🍝' }, { type: 'text', text: 'é ann@example.com' }];
    const inBlock = guard.check([{ role: 'user', content: blocks }]).findings[0].evidence[0].spans[0];
    assert.equal(blocks[inBlock.part].text.slice(inBlock.start, inBlock.end), 'ann@example.com');
});

test('half of a surrogate pair is judged like any other text', () => {
    const text = 'secret \ud83d sauce recipe \udc00 ann@example.com';
    const span = guard.check(text).findings.at(-1).evidence[0].spans[0];
    assert.equal(text.slice(span.start, span.end), 'ann@example.com');
    assert.equal(guard.check('a literal \\ud83d is no half').action, 'allow');
});

test('settings of the deployment lift what they may', () => {
    const lifted = new Guard({ policy: house, models: false, settings: { operator: { switch: { refunds: 'off' } } } });
    const answer = { request: 'And my money?', response: 'You will get a refund.' };
    assert.equal(guard.check(answer).action, 'revise');
    const verdict = lifted.check(answer);
    assert.equal(verdict.action, 'allow');
    assert.deepEqual(verdict.lifted, [{ clause: 'refunds', by: 'operator' }]);
    const file = join(folder, 'settings.toml');
    writeFileSync(file, '[operator]\nswitch = { refunds = "off" }\n');
    assert.equal(new Guard({ policy: house, models: false, settings: file }).check(answer).action, 'allow');
});

test('settings of a request that ask for more are ignored and reported', () => {
    const settings = { user: { switch: { recipe: 'off' } } };
    const verdict = guard.check({ request: 'the secret sauce recipe', settings });
    assert.equal(verdict.action, 'block');
    assert.equal(verdict.ignored[0].clause, 'recipe');
});

const refused = (code, more = {}) => (error) => {
    assert.ok(error instanceof BrightlineError, String(error));
    assert.equal(error.code, code);
    for (const [key, value] of Object.entries(more)) assert.deepEqual(error[key], value, key);
    return true;
};

test('an input that cannot be judged is an error that names the field', () => {
    for (const [input, path] of [
        [[{ role: 'bot', content: 'x' }], 'messages[0].role'],
        [[{ role: 'user', content: 7 }], 'messages[0].content'],
        [[], undefined],
        [{}, undefined],
        [{ messages: [{ role: 'user', content: 'x' }], target: 3 }, 'target'],
        [{ request: 'x', settings: { operator: {} , system: { tags: ['a'] } } }, 'settings'],
        [{ request: 'x', signals: { a: NaN } }, undefined],
    ]) {
        assert.throws(() => guard.check(input), (error) => {
            refused('BL_INPUT')(error);
            if (path) assert.equal(error.path, path);
            return true;
        });
    }
    for (const input of [null, undefined, 7, Symbol('x'), () => 1]) {
        assert.throws(() => guard.check(input), refused('BL_INPUT'));
    }
    const loop = { request: 'x' };
    loop.loop = loop;
    assert.throws(() => guard.check(loop), refused('BL_INPUT'));
    assert.throws(() => guard.check({ request: 'x', n: 1n }), refused('BL_INPUT'));
});

test('asynchronous checks fail like the others', async () => {
    await assert.rejects(guard.checkAsync([]), refused('BL_INPUT'));
    await assert.rejects(guard.checkAsync(null), refused('BL_INPUT'));
    await assert.rejects(guard.checkBatch(['fine', { request: 3 }]), refused('BL_INPUT', { index: 1, path: 'request' }));
    await assert.rejects(guard.checkBatch(['fine', null]), refused('BL_INPUT', { index: 1 }));
    await assert.rejects(guard.checkBatch(['fine'], { threads: 0 }), refused('BL_OPTIONS'));
    assert.deepEqual(await guard.checkBatch([]), []);
});

test('a batch of many portions keeps its order, its places and the index of what cannot be judged', async () => {
    const inputs = Array.from({ length: 300 }, (_, at) => ({ id: at, request: at % 3 ? `🍝 ${at}` : `🍝 mail to a${at}@example.com \ud83c` }));
    for (const threads of [1, 3, undefined]) {
        const verdicts = await guard.checkBatch(inputs, { threads });
        for (const [at, verdict] of verdicts.entries()) {
            const alone = guard.check(inputs[at]);
            assert.equal(untimed(verdict.wire), untimed(alone.wire));
            assert.deepEqual(verdict.findings, alone.findings);
            assert.equal(verdict.id, String(at));
        }
    }
    const broken = inputs.with(205, { request: 3 }).with(290, null);
    await assert.rejects(guard.checkBatch(broken.slice(0, 290)), refused('BL_INPUT', { index: 205, path: 'request' }));
    await assert.rejects(guard.checkBatch(broken.slice(206)), refused('BL_INPUT', { index: 84 }));
    const circular = { request: 'x' };
    circular.self = circular;
    await assert.rejects(guard.checkBatch([...inputs, circular]), refused('BL_INPUT', { index: 300 }));
});

test('a signal aborts a check', async () => {
    await assert.rejects(guard.checkAsync('x', { signal: AbortSignal.abort() }), { name: 'AbortError' });
    const controller = new AbortController();
    const checked = guard.checkAsync('long '.repeat(500_000), { signal: controller.signal });
    controller.abort(new Error('gone'));
    await assert.rejects(checked, { message: 'gone' });
});

test('wrong options are errors', () => {
    for (const options of [{ polcy: 'x' }, { policy: 7 }, { models: true }, { deadlineMs: -1 }, { deadlineMs: 0.5 }, { settings: null }, null]) {
        assert.throws(() => new Guard(options), refused('BL_OPTIONS'), JSON.stringify(options));
    }
    assert.throws(() => new Guard({ scores: true, models: false }), refused('BL_MODEL'));
    assert.throws(() => new Guard({ models: folder }), refused('BL_MODEL'));
    assert.throws(() => new Guard({ models: false, requireModels: true }), refused('BL_MODEL'));
    assert.throws(() => new Guard({ models: false, settings: { operatr: {} } }), refused('BL_SETTINGS'));
    assert.throws(() => new Guard({ models: false, settings: join(folder, 'none.toml') }), refused('BL_SETTINGS'));
    const settings = { operator: { switch: { no_such_clause: 'off' } } };
    assert.throws(() => new Guard({ policy: house, models: false, settings }), refused('BL_SETTINGS'));
});

test('a policy that does not compile names every problem and its place', () => {
    const path = join(folder, 'bad.md');
    const text = HOUSE.replace('match("secret")', 'mtch("ü") && match("none")');
    writeFileSync(path, text);
    assert.throws(() => new Guard({ policy: path, models: false }), (error) => {
        refused('BL_POLICY')(error);
        assert.ok(error.diagnostics.length > 0);
        const [first] = error.diagnostics;
        assert.match(first.code, /^BL\d{4}$/);
        assert.equal(first.line, text.slice(0, first.start).split('\n').length);
        return true;
    });
    assert.throws(() => new Guard({ policy: join(folder, 'none.md') }), refused('BL_POLICY'));
    const artifact = join(folder, 'bad.blp');
    writeFileSync(artifact, 'nonsense');
    assert.throws(() => new Guard({ policy: artifact, models: false }), refused('BL_POLICY'));
    assert.throws(() => new Guard({ policy: join(folder, 'none.blp'), models: false }), refused('BL_POLICY'));
});

test('the package brings its models', () => {
    const whole = new Guard({ scores: true });
    assert.equal(whole.models?.name, whole.check('hello').model?.name);
    assert.ok('unsafe' in whole.check('What a fine day for a walk').scores);
});

test('other tasks go on while a message of 10 MB is checked', async () => {
    const text = 'The quick brown fox writes to ann@example.com. '.repeat(220_000);
    let ticks = 0;
    const timer = setInterval(() => (ticks += 1), 5);
    const started = performance.now();
    const verdict = await guard.checkAsync({ response: text });
    const took = performance.now() - started;
    clearInterval(timer);
    assert.equal(verdict.action, 'redact');
    assert.ok(verdict.scanned.bytes > 10_000_000);
    assert.ok(ticks >= Math.min(5, took / 50), `${ticks} ticks in ${took} ms`);
});
