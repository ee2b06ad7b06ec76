import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
    Agent,
    InputGuardrailTripwireTriggered,
    OutputGuardrailTripwireTriggered,
    Runner,
    setTracingDisabled,
    tool,
    ToolInputGuardrailTripwireTriggered,
    ToolOutputGuardrailTripwireTriggered,
} from '@openai/agents';
import { Guard, Verdict } from 'brightline';
import { guardModel, guardProvider, guardrails } from 'brightline/openai-agents';
import { z } from 'zod';
import { cut, HOUSE, randoms } from './helpers.mjs';

setTracingDisabled(true);
const house = join(mkdtempSync(join(tmpdir(), 'brightline-')), 'house.md');
writeFileSync(house, HOUSE.replace('"tool_call"]', '"tool_call", "tool_result"]'));
const guard = new Guard({ policy: house, models: false });
const rails = guardrails(guard);
const MESSAGE = 'That stays with the cook.';
const usage = { requests: 1, inputTokens: 1, outputTokens: 1, totalTokens: 2, inputTokensDetails: [], outputTokensDetails: [] };

const message = (text, id = 'm') => ({ type: 'message', id, role: 'assistant', status: 'completed', content: [{ type: 'output_text', text }] });
const call = (args, callId = 'c') => ({ type: 'function_call', id: `f${callId}`, callId, name: 'send', status: 'completed', arguments: JSON.stringify(args) });

/** A model that gives one output after the other, and remembers what it was asked. */
class Fake {
    requests = [];
    sent = 0;
    constructor(...outputs) {
        this.outputs = outputs;
    }
    async getResponse(request) {
        this.requests.push(request);
        return { usage, output: this.outputs[this.requests.length - 1], responseId: 'r', providerData: { raw: this.outputs } };
    }
    async *getStreamedResponse(request) {
        this.requests.push(request);
        const output = this.outputs[this.requests.length - 1];
        yield { type: 'response_started' };
        for (const item of output) {
            for (const delta of item.content ? cut(item.content[0].text, randoms(3), 4) : []) {
                yield { type: 'model', event: { delta } };
                yield { type: 'output_text_delta', itemId: item.id, delta };
                this.sent += 1;
            }
        }
        yield { type: 'response_done', response: { id: 'r', usage, output, providerData: { raw: output } } };
    }
}

const runner = (model) => new Runner({ modelProvider: { getModel: () => model } });
const guarded = (model, options) => runner(guardModel(model, guard, options));

/** A tool that remembers what it was called with. */
function sending(calls, options = {}, answer = () => 'sent') {
    return tool({
        name: 'send',
        description: 'Sends a message',
        parameters: z.object({ to: z.string() }),
        execute: async ({ to }) => (calls.push(to), answer(to)),
        ...options,
    });
}

const tripped = (type, clause) => (thrown) => {
    // Errors of tools come wrapped.
    const error = thrown.error ?? thrown;
    assert.ok(error instanceof type, String(error));
    assert.ok(error.result.output.outputInfo instanceof Verdict);
    assert.equal(error.result.output.outputInfo.findings[0].clause, clause);
    return true;
};

/** What a consumer of a streamed run sees. */
async function streamed(runner, agent, input) {
    const seen = { text: '', events: '', result: await runner.run(agent, input, { stream: true }) };
    for await (const event of seen.result) {
        seen.events += JSON.stringify(event);
        if (event.data?.type === 'output_text_delta') seen.text += event.data.delta;
    }
    await seen.result.completed;
    return seen;
}

test('an input that trips never reaches the model', async () => {
    const agent = new Agent({ name: 'shop', instructions: 'Help.', inputGuardrails: [rails.input] });
    for (const [input, clause] of [['the secret sauce recipe', 'recipe'], [[{ role: 'user', content: [{ type: 'input_text', text: 'Ask the secret sauce recipe' }] }], 'recipe']]) {
        const model = new Fake([message('never')]);
        await assert.rejects(runner(model).run(agent, input), tripped(InputGuardrailTripwireTriggered, clause));
        assert.equal(model.requests.length, 0);
    }
    const model = new Fake([message('hello')]);
    const result = await runner(model).run(agent, 'hi');
    assert.equal(result.inputGuardrailResults[0].output.outputInfo.action, 'allow');
});

test('an output that trips raises, and a redaction trips where it is asked to', async () => {
    const strict = new Agent({ name: 'shop', outputGuardrails: [rails.output] });
    const run = (agent, text) => runner(new Fake([message(text)])).run(agent, 'hi');
    await assert.rejects(run(strict, 'the secret sauce recipe'), tripped(OutputGuardrailTripwireTriggered, 'recipe'));
    await assert.rejects(run(strict, 'to ann@example.com'), tripped(OutputGuardrailTripwireTriggered, 'addresses'));
    const verdicts = [];
    const mild = guardrails(guard, { tripOnRedact: false, name: 'house', onVerdict: (it) => verdicts.push(it.action) });
    const result = await run(new Agent({ name: 'shop', outputGuardrails: [mild.output] }), 'to ann@example.com');
    assert.equal(result.outputGuardrailResults[0].guardrail.name, 'house_output');
    assert.deepEqual(verdicts, ['redact']);
    const structured = new Agent({ name: 'shop', outputType: z.object({ to: z.string() }), outputGuardrails: [rails.output] });
    await assert.rejects(run(structured, '{"to":"the secret sauce recipe"}'), tripped(OutputGuardrailTripwireTriggered, 'recipe'));
});

test('a tool does not run after its guardrail tripped', async () => {
    const calls = [];
    const tools = [sending(calls, { inputGuardrails: [rails.toolInput] })];
    const model = new Fake([call({ to: 'the secret sauce recipe' }, '1')], [call({ to: 'Ann' }, '2')], [message('done')]);
    await runner(model).run(new Agent({ name: 'shop', tools }), 'hi');
    assert.deepEqual(calls, ['Ann']);
    const answers = model.requests[1].input.filter((it) => it.type === 'function_call_result');
    assert.equal(answers[0].output.text, MESSAGE);
    const throwing = [sending(calls, { inputGuardrails: [guardrails(guard, { throwOnTools: true }).toolInput] })];
    const bad = new Fake([call({ to: 'the secret sauce recipe' })]);
    await assert.rejects(runner(bad).run(new Agent({ name: 'shop', tools: throwing }), 'hi'), tripped(ToolInputGuardrailTripwireTriggered, 'recipe'));
    assert.deepEqual(calls, ['Ann']);
});

test('the output of a tool is replaced before the model reads it', async () => {
    const run = async (answer, options) => {
        const tools = [sending([], { outputGuardrails: [guardrails(guard, options).toolOutput] }, () => answer)];
        const model = new Fake([call({ to: 'Ann' })], [message('done')]);
        await runner(model).run(new Agent({ name: 'shop', tools }), 'hi');
        return model.requests[1].input.at(-1).output.text;
    };
    assert.equal(await run('her address is ann@example.com'), 'her address is [email]');
    assert.equal(await run({ type: 'text', text: 'ann@example.com' }), '[email]');
    assert.equal(await run({ text: 'ok', address: 'ann@example.com' }), '{"text":"ok","address":"[email]"}');
    assert.equal(await run('nothing new', { throwOnTools: true }), 'nothing new');
    const secret = 'Stir: the secret sauce recipe.';
    assert.equal(await run(secret), MESSAGE);
    await assert.rejects(run(secret, { throwOnTools: true }), tripped(ToolOutputGuardrailTripwireTriggered, 'recipe'));
});

test('a guarded model judges both sides of a run', async () => {
    const calls = [];
    const agent = new Agent({ name: 'shop', tools: [sending(calls, {}, () => 'ask bob@example.com')] });
    const model = new Fake([call({ to: 'ann@example.com' })], [message('to ann@example.com')]);
    const result = await guarded(model).run(agent, 'I am eve@example.com');
    assert.equal(result.finalOutput, 'to [email]');
    assert.deepEqual(calls, ['[email]']);
    assert.ok(!JSON.stringify([model.requests[1].input, result.rawResponses]).includes('@example.com'));
    const refused = new Fake([message('never')]);
    assert.equal((await guarded(refused).run(agent, 'the secret sauce recipe')).finalOutput, MESSAGE);
    assert.equal(refused.requests.length, 0);
    const blocked = await guarded(new Fake([call({ to: 'the secret sauce recipe' })])).run(agent, 'hi');
    assert.equal(blocked.finalOutput, MESSAGE);
    assert.ok(!JSON.stringify(blocked.rawResponses).includes('recipe'));
    assert.equal(calls.length, 1);
    const failing = guarded(new Fake([message('the secret sauce recipe')]), { withheld: 'error' });
    await assert.rejects(failing.run(agent, 'hi'), { code: 'BL_BLOCKED' });
});

test('a guarded model streams what may be shown, and nothing else', async () => {
    const agent = new Agent({ name: 'shop' });
    const verdicts = [];
    const good = guarded(new Fake([message('Write to ann@example.com, Bob.')]), { onVerdict: (it) => verdicts.push(it.action) });
    const seen = await streamed(good, agent, 'hi');
    assert.equal(seen.text, 'Write to [email], Bob.');
    assert.equal(seen.result.finalOutput, 'Write to [email], Bob.');
    assert.ok(!seen.events.includes('example.com'), seen.events);
    assert.deepEqual(verdicts, ['allow', 'allow']);
    const refused = new Fake([message('never')]);
    assert.equal((await streamed(guarded(refused), agent, 'the secret sauce recipe')).text, MESSAGE);
    assert.equal(refused.requests.length, 0);
    for (const text of ['Sure: the secret sauce recipe is this and that.', 'Well, you will get a refund, I am sure.']) {
        const bad = await streamed(guarded(new Fake([message(text)])), agent, 'hi');
        assert.ok(!/recipe|get a refund|sure\./.test(bad.events), bad.events);
        assert.ok(!/recipe|refund,/.test(bad.result.finalOutput), bad.result.finalOutput);
        const failing = guarded(new Fake([message(text)]), { withheld: 'error' });
        await assert.rejects(streamed(failing, agent, 'hi'), { code: 'BL_BLOCKED' });
    }
});

test('a streamed run executes no tool whose call was not judged', async () => {
    const calls = [];
    const agent = new Agent({ name: 'shop', tools: [sending(calls)] });
    const model = new Fake([call({ to: 'ann@example.com' })], [message('done')]);
    assert.equal((await streamed(guarded(model), agent, 'hi')).text, 'done');
    assert.deepEqual(calls, ['[email]']);
    const blocked = new Fake([message('One moment.'), call({ to: 'the secret sauce recipe' })]);
    const seen = await streamed(guarded(blocked), agent, 'hi');
    assert.ok(seen.text.endsWith(MESSAGE) && !seen.events.includes('recipe'), seen.events);
    assert.equal(calls.length, 1);
});

test('a model that fails and a caller that stops release nothing of what is held back', async () => {
    const request = { input: 'hi', modelSettings: {}, tools: [], outputType: 'text', handoffs: [], tracing: false };
    const failing = new Fake([message('Here: the secret sauce')]);
    const stream = failing.getStreamedResponse.bind(failing);
    let closed = false;
    failing.getStreamedResponse = async function* (given) {
        try {
            for await (const event of stream(given)) {
                if (event.type === 'response_done') throw new Error('lost');
                yield event;
            }
        } finally {
            closed = true;
        }
    };
    let shown = '';
    await assert.rejects(async () => {
        for await (const event of guardModel(failing, guard).getStreamedResponse(request)) shown += event.delta ?? '';
    }, { message: 'lost' });
    assert.ok(!shown.includes('secret'), shown);
    failing.requests = [];
    closed = false;
    for await (const event of guardModel(failing, guard).getStreamedResponse(request)) if (event.delta) break;
    assert.ok(closed);
});

test('text arrives before the model has ended', async () => {
    const model = new Fake([message('One two three four five six seven eight nine ten.')]);
    const request = { input: 'hi', modelSettings: {}, tools: [], outputType: 'text', handoffs: [], tracing: false };
    for await (const event of guardModel(model, guard).getStreamedResponse(request)) {
        if (event.type !== 'output_text_delta') continue;
        assert.ok(model.sent < 5, `${model.sent} deltas`);
        break;
    }
});

test('a provider gives guarded models', async () => {
    const provider = guardProvider({ getModel: () => new Fake([message('to ann@example.com')]) }, guard);
    const result = await new Runner({ modelProvider: provider }).run(new Agent({ name: 'shop' }), 'hi');
    assert.equal(result.finalOutput, 'to [email]');
});
