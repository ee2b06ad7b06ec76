import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate } from 'node:timers/promises';
import { test } from 'node:test';
import { BlockedError, Guard } from 'brightline';
import { cases, cut, HOUSE, randoms, untimed } from './helpers.mjs';

const house = join(mkdtempSync(join(tmpdir(), 'brightline-')), 'house.md');
writeFileSync(house, HOUSE);
const guard = new Guard({ policy: house, models: false });
const GOOD = 'Ask 🍝 Ann, at ann@example.com, or bob@example.com — ünd enjoy.';
const CLEAN = 'Ask 🍝 Ann, at [email], or [email] — ünd enjoy.';
const BAD = 'Here it is: the secret sauce recipe is two tomatoes and salt.';

const whole = (text) => {
    const stream = guard.stream('hi');
    const released = [...stream.push(text).released];
    const end = stream.finish();
    return { text: [...released, ...end.released].map((it) => it.text).join(''), wire: untimed(end.verdict.wire) };
};

async function* chunks(pieces) {
    yield* pieces;
}

async function read(stream) {
    let text = '';
    for await (const chunk of stream) text += chunk;
    return text;
}

test('text and verdict are the same for every way of cutting', async () => {
    const random = randoms(5);
    const texts = [GOOD, BAD, 'You will get a refund, Ann.', ...cases().flatMap((it) => it.response ?? [])];
    for (const text of texts) {
        const expected = whole(text);
        for (let round = 0; round < 8; round += 1) {
            const stream = guard.stream('hi');
            const released = [];
            for (const piece of cut(text, random, 1 + random(12))) {
                const step = round % 2 ? stream.push(piece) : await stream.pushAsync(piece);
                released.push(...step.released);
            }
            const end = round % 2 ? stream.finish() : await stream.finishAsync();
            released.push(...end.released);
            assert.equal(released.map((it) => it.text).join(''), expected.text);
            assert.equal(untimed(end.verdict.wire), expected.wire);
        }
    }
    assert.equal(whole(GOOD).text, CLEAN);
});

test('bytes may be cut inside of a character', () => {
    const stream = guard.stream('hi');
    let text = '';
    for (const byte of Buffer.from(GOOD)) {
        for (const piece of stream.push(Uint8Array.of(byte)).released) text += piece.text;
    }
    for (const piece of stream.finish().released) text += piece.text;
    assert.equal(text, CLEAN);
});

test('spans of a stream count UTF-16 units of its text', () => {
    const stream = guard.stream([{ role: 'user', content: 'hi' }]);
    for (const piece of cut(GOOD, randoms(9), 3)) stream.push(piece);
    const { verdict } = stream.finish();
    const spans = verdict.findings[0].evidence[0].spans;
    assert.deepEqual(spans.map((it) => it.message), [1, 1]);
    assert.deepEqual(spans.map((it) => GOOD.slice(it.start, it.end)), ['ann@example.com', 'bob@example.com']);
});

test('channels are kept apart', () => {
    const stream = guard.stream('hi');
    stream.toolCall(3, 'send', 'call_1');
    const released = [
        ...stream.push('I write to ann@exa', 'reasoning').released,
        ...stream.push('{"to": "bob@', { toolCall: 3 }).released,
        ...stream.push('Done. ').released,
        ...stream.push('mple.com. ', 'reasoning').released,
        ...stream.push('example.com"}', { toolCall: 3 }).released,
        ...stream.finish().released,
    ];
    const of = (name) => released.filter((it) => JSON.stringify(it.channel) === name).map((it) => it.text).join('');
    assert.equal(of('"reasoning"'), 'I write to [email]. ');
    assert.equal(of('"text"'), 'Done. ');
    assert.equal(of('{"toolCall":3}'), '{"to": "[email]"}');
});

test('a stream that is over takes nothing', async () => {
    const stream = guard.stream('hi');
    stream.push('ann@exam');
    const { verdict } = stream.finish();
    assert.equal(stream.finish().verdict.wire, verdict.wire);
    assert.deepEqual(stream.finish().released, []);
    assert.throws(() => stream.push('ple.com'), { code: 'BL_STREAM_CLOSED' });
    await assert.rejects(stream.pushAsync('ple.com'), { code: 'BL_STREAM_CLOSED' });
    assert.throws(() => stream.toolCall(0, 'x'), { code: 'BL_STREAM_CLOSED' });
    const given = guard.stream('hi');
    const pending = given.pushAsync('held back');
    assert.throws(() => given.push('more'), { code: 'BL_STREAM_BUSY' });
    given.close();
    await assert.rejects(pending, { code: 'BL_STREAM_CLOSED' });
    assert.throws(() => given.finish(), { code: 'BL_STREAM_CLOSED' });
    await assert.rejects(given.finishAsync(), { code: 'BL_STREAM_CLOSED' });
});

test('wrong chunks, channels and contexts are errors', () => {
    const stream = guard.stream('hi');
    assert.throws(() => stream.push(7), { code: 'BL_OPTIONS' });
    assert.throws(() => stream.push(null), { code: 'BL_OPTIONS' });
    assert.throws(() => stream.push('x', 'answer'), { code: 'BL_OPTIONS' });
    assert.throws(() => stream.push('x', { toolCall: -1 }), { code: 'BL_OPTIONS' });
    assert.throws(() => guard.stream([]), { code: 'BL_INPUT' });
    assert.throws(() => guard.transform('hi', { withheld: 'shout' }), { code: 'BL_OPTIONS' });
});

test('a transform passes on what may be shown', async () => {
    const transform = guard.transform('hi');
    const text = await read(ReadableStream.from(chunks(cut(GOOD, randoms(3), 4))).pipeThrough(transform));
    assert.equal(text, CLEAN);
    assert.equal((await transform.verdict).action, 'redact');
});

test('a transform that is stopped ends with the message and cancels its source', async () => {
    let canceled = false;
    const pieces = cut(BAD.repeat(50), randoms(4), 5);
    const source = new ReadableStream({
        pull(controller) {
            if (pieces.length > 0) controller.enqueue(pieces.shift());
            else controller.close();
        },
        cancel() {
            canceled = true;
        },
    });
    const transform = guard.transform('hi');
    const text = await read(source.pipeThrough(transform));
    assert.ok(!text.includes('recipe'), text);
    assert.ok(text.endsWith('That stays with the cook.'), text);
    assert.equal((await transform.verdict).action, 'block');
    await setImmediate();
    assert.ok(canceled);
});

test('a transform fails instead where it is asked to', async () => {
    const transform = guard.transform('hi', { withheld: 'error' });
    const reader = ReadableStream.from(chunks(cut(BAD, randoms(4), 5))).pipeThrough(transform);
    await assert.rejects(read(reader), (error) => {
        assert.ok(error instanceof BlockedError);
        assert.equal(error.code, 'BL_BLOCKED');
        assert.equal(error.verdict.findings[0].clause, 'recipe');
        return true;
    });
});

test('what is revised is not shown', async () => {
    const transform = guard.transform('hi');
    const text = await read(ReadableStream.from(chunks(['Well, you will ', 'get a refund. Bye.'])).pipeThrough(transform));
    assert.ok(!text.includes('get a refund'), text);
    assert.ok(text.endsWith('The billing team decides about refunds.'), text);
    assert.equal((await transform.verdict).action, 'revise');
});

test('a source that fails emits nothing of what was held back', async () => {
    async function* failing() {
        yield 'The secret sauce ';
        throw new Error('lost');
    }
    const transform = guard.transform('hi');
    let text = '';
    await assert.rejects(
        ReadableStream.from(failing())
            .pipeThrough(transform)
            .pipeTo(new WritableStream({ write: (chunk) => void (text += chunk) })),
        { message: 'lost' },
    );
    assert.ok(!text.includes('secret'), text);
    await assert.rejects(transform.verdict, { message: 'lost' });
});

test('a reader that cancels ends the stream', async () => {
    const transform = guard.transform('hi');
    const writer = transform.writable.getWriter();
    await Promise.all([writer.write('The secret sauce'), transform.readable.cancel('enough')]).catch(() => undefined);
    await assert.rejects(transform.verdict);
});

test('a transform stands between the streams of Node', async () => {
    for (const [pieces, expected] of [
        [cut(GOOD, randoms(6), 4), CLEAN],
        [[BAD], whole(BAD).text + 'That stays with the cook.'],
    ]) {
        let text = '';
        const sink = new Writable({ decodeStrings: false, write: (chunk, _, done) => ((text += chunk), done()) });
        const judged = Readable.toWeb(Readable.from(pieces)).pipeThrough(guard.transform('hi'));
        await pipeline(Readable.fromWeb(judged), sink);
        assert.equal(text, expected);
    }
});
