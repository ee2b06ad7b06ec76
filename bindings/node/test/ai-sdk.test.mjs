import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { generateText, isStepCount, streamText, tool, wrapLanguageModel } from 'ai';
import { convertArrayToReadableStream, MockLanguageModelV4 } from 'ai/test';
import { Guard } from 'brightline';
import { guardMiddleware } from 'brightline/ai-sdk';
import { z } from 'zod';
import { cut, HOUSE, randoms } from './helpers.mjs';

const house = join(mkdtempSync(join(tmpdir(), 'brightline-')), 'house.md');
writeFileSync(house, HOUSE);
const guard = new Guard({ policy: house, models: false });
const usage = {
    inputTokens: { total: 1, noCache: 1, cacheRead: undefined, cacheWrite: undefined },
    outputTokens: { total: 1, text: 1, reasoning: undefined },
};
const stop = { unified: 'stop', raw: undefined };

function model({ content = [], parts = [] }) {
    return new MockLanguageModelV4({
        doGenerate: async () => ({ content, finishReason: stop, usage, warnings: [] }),
        doStream: async () => ({
            stream: convertArrayToReadableStream([
                { type: 'stream-start', warnings: [] },
                ...parts,
                { type: 'finish', finishReason: stop, usage },
            ]),
        }),
    });
}

const guarded = (mock, options) => wrapLanguageModel({ model: mock, middleware: guardMiddleware(guard, options) });

/** A text in deltas, as a provider sends it. */
function text(id, whole, kind = 'text') {
    return [
        { type: `${kind}-start`, id },
        ...cut(whole, randoms(whole.length), 5).map((delta) => ({ type: `${kind}-delta`, id, delta })),
        { type: `${kind}-end`, id },
    ];
}

test('a request that is withheld never reaches the model', async () => {
    for (const call of [generateText, streamText]) {
        const mock = model({});
        const result = call({ model: guarded(mock), prompt: 'Tell me the secret sauce recipe' });
        const { text, finishReason } = await result;
        assert.equal(await text, 'That stays with the cook.');
        assert.equal(await finishReason, 'content-filter');
        assert.equal(mock.doGenerateCalls.length + mock.doStreamCalls.length, 0);
    }
});

test('a request is redacted before the model sees it', async () => {
    const mock = model({ content: [{ type: 'text', text: 'ok' }] });
    await generateText({ model: guarded(mock), prompt: 'I am ann@example.com' });
    assert.equal(mock.doGenerateCalls[0].prompt.at(-1).content[0].text, 'I am [email]');
});

test('an answer is redacted or withheld', async () => {
    const verdicts = [];
    const onVerdict = (verdict) => verdicts.push(verdict.action);
    const redacted = model({ content: [{ type: 'text', text: 'Write to ann@example.com' }] });
    const one = await generateText({ model: guarded(redacted, { onVerdict }), prompt: 'hi' });
    assert.equal(one.text, 'Write to [email]');
    assert.equal(one.providerMetadata.brightline.action, 'redact');
    const blocked = model({ content: [{ type: 'text', text: 'the secret sauce recipe: salt' }] });
    const two = await generateText({ model: guarded(blocked, { onVerdict }), prompt: 'hi' });
    assert.equal(two.text, 'That stays with the cook.');
    assert.equal(two.finishReason, 'content-filter');
    assert.deepEqual(verdicts, ['allow', 'redact', 'allow', 'block']);
    await assert.rejects(
        generateText({ model: guarded(blocked, { withheld: 'error' }), prompt: 'hi', maxRetries: 0 }),
        (error) => error.code === 'BL_BLOCKED' && error.verdict.action === 'block',
    );
});

test('structured output is no way round', async () => {
    const mock = new MockLanguageModelV4({
        doGenerate: async () => ({
            content: [{ type: 'text', text: 'draft' }],
            structuredOutputText: '{"a": "the secret sauce recipe"}',
            finishReason: stop,
            usage,
            warnings: [],
        }),
    });
    const result = await guarded(mock).doGenerate({ prompt: [{ role: 'user', content: [{ type: 'text', text: 'hi' }] }] });
    assert.equal(result.structuredOutputText, undefined);
    assert.deepEqual(result.content, [{ type: 'text', text: 'That stays with the cook.' }]);
});

test('a streamed answer is redacted while it arrives', async () => {
    const parts = [...text('r', 'Hm, bob@example.com?', 'reasoning'), ...text('1', 'Write to ann@example.com, Bob.')];
    const result = streamText({ model: guarded(model({ parts })), prompt: 'hi' });
    assert.equal(await result.text, 'Write to [email], Bob.');
    assert.equal(await result.reasoningText, 'Hm, [email]?');
    assert.equal((await result.providerMetadata).brightline.action, 'allow');
});

test('texts that arrive at the same time are kept apart', async () => {
    const [one, two] = [text('1', 'To ann@example.com. '), text('2', 'To bob@example.com.')];
    const parts = one.flatMap((part, at) => [part, ...(two[at] ? [two[at]] : [])]).concat(two.slice(one.length));
    const seen = { 1: '', 2: '' };
    const { stream } = await guarded(model({ parts })).doStream({ prompt: [{ role: 'user', content: [{ type: 'text', text: 'hi' }] }] });
    for await (const part of stream) if (part.type === 'text-delta') seen[part.id] += part.delta;
    assert.deepEqual(seen, { 1: 'To [email]. ', 2: 'To [email].' });
});

test('a streamed answer that is withheld ends with the message', async () => {
    const parts = [...text('1', 'Sure, the secret sauce recipe is salt and more.'), ...text('2', 'never')];
    const result = streamText({ model: guarded(model({ parts })), prompt: 'hi' });
    const shown = await result.text;
    assert.ok(!/recipe|never/.test(shown), shown);
    assert.ok(shown.endsWith('That stays with the cook.'), shown);
    assert.equal(await result.finishReason, 'content-filter');
    const failing = streamText({ model: guarded(model({ parts }), { withheld: 'error' }), prompt: 'hi', onError() {} });
    let seen = '';
    for await (const part of failing.fullStream) {
        if (part.type === 'text-delta') seen += part.text;
        if (part.type === 'error') assert.equal(part.error.code, 'BL_BLOCKED');
    }
    assert.ok(!seen.includes('recipe'), seen);
});

test('tool calls wait until they are complete, and run with what was judged', async () => {
    const calls = [];
    const send = tool({
        inputSchema: z.object({ to: z.string() }),
        execute: async ({ to }) => (calls.push(to), 'sent'),
    });
    const call = (to) => {
        const input = JSON.stringify({ to });
        return [
            { type: 'tool-input-start', id: 'c', toolName: 'send' },
            ...cut(input, randoms(1), 3).map((delta) => ({ type: 'tool-input-delta', id: 'c', delta })),
            { type: 'tool-input-end', id: 'c' },
            { type: 'tool-call', toolCallId: 'c', toolName: 'send', input },
        ];
    };
    const run = (to) => streamText({ model: guarded(model({ parts: call(to) })), prompt: 'hi', tools: { send } });
    const deltas = [];
    for await (const part of run('ann@example.com').fullStream) {
        if (part.type === 'tool-input-delta') deltas.push(part.delta);
    }
    assert.deepEqual(deltas, ['{"to":"[email]"}']);
    assert.deepEqual(calls, ['[email]']);
    const blocked = run('the secret sauce recipe');
    for await (const part of blocked.fullStream) assert.ok(!part.type.startsWith('tool'), part.type);
    assert.equal(await blocked.text, 'That stays with the cook.');
    assert.equal(calls.length, 1);
});

test('raw chunks and open blocks pass on nothing of what is held back', async () => {
    const secret = 'the secret sauce';
    const parts = [
        { type: 'text-start', id: '1' },
        { type: 'raw', rawValue: { delta: secret } },
        { type: 'text-delta', id: '1', delta: secret },
        { type: 'text-delta', id: '1', delta: ' recipe' },
    ];
    const result = streamText({ model: guarded(model({ parts })), prompt: 'hi', includeRawChunks: true });
    let shown = '';
    for await (const part of result.fullStream) shown += JSON.stringify(part);
    assert.ok(!shown.includes('secret sauce'), shown);
});

test('a tool result is judged before the model reads it', async () => {
    const mock = model({ content: [{ type: 'text', text: 'ok' }] });
    await generateText({
        model: guarded(mock),
        messages: [
            { role: 'user', content: 'look' },
            { role: 'assistant', content: [{ type: 'tool-call', toolCallId: 'c', toolName: 'look', input: {} }] },
            {
                role: 'tool',
                content: [{ type: 'tool-result', toolCallId: 'c', toolName: 'look', output: { type: 'json', value: { from: 'ann@example.com' } } }],
            },
        ],
    });
    assert.deepEqual(mock.doGenerateCalls[0].prompt.at(-1).content[0].output, { type: 'text', value: '{"from":"[email]"}' });
});

test('a tool that takes several steps sees placeholders in each of them', async () => {
    const prompts = [];
    const call = { type: 'tool-call', toolCallId: 'c', toolName: 'look', input: '{}' };
    const answers = [[call], [{ type: 'text', text: 'ok' }]];
    const mock = new MockLanguageModelV4({
        doGenerate: async ({ prompt }) => {
            prompts.push(JSON.stringify(prompt));
            const content = answers[prompts.length - 1];
            return { content, finishReason: stop, usage, warnings: [] };
        },
    });
    const look = tool({ inputSchema: z.object({}), execute: async () => 'ask bob@example.com' });
    await generateText({ model: guarded(mock), prompt: 'I am ann@example.com', tools: { look }, stopWhen: isStepCount(2) });
    assert.equal(prompts.length, 2);
    for (const prompt of prompts) assert.ok(!prompt.includes('@example.com'), prompt);
});

test('a model that fails and a reader that cancels release nothing of what is held back', async () => {
    const parts = [
        { type: 'text-start', id: '1' },
        { type: 'text-delta', id: '1', delta: 'One two. The secret sauce' },
    ];
    for (const ends of ['fails', 'cancels']) {
        let canceled = false;
        const mock = new MockLanguageModelV4({
            doStream: async () => ({
                stream: new ReadableStream({
                    pull(controller) {
                        if (parts[controller.at ?? 0]) controller.enqueue(parts[controller.at ?? 0]);
                        else if (ends === 'fails') controller.error(new Error('lost'));
                        controller.at = (controller.at ?? 0) + 1;
                    },
                    cancel: () => void (canceled = true),
                }, { highWaterMark: 0 }),
            }),
        });
        const { stream } = await guarded(mock).doStream({ prompt: [{ role: 'user', content: [{ type: 'text', text: 'hi' }] }] });
        const reader = stream.getReader();
        let shown = '';
        try {
            for (let read = await reader.read(); !read.done; read = await reader.read()) {
                shown += read.value.delta ?? '';
                if (ends === 'cancels' && shown !== '') await reader.cancel();
            }
        } catch (error) {
            assert.equal(error.message, 'lost');
        }
        assert.equal(shown, 'One two. The ');
        await setImmediate();
        assert.equal(canceled, ends === 'cancels');
    }
});
