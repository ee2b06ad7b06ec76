// Agents of `@openai/agents` behind a guard: guardrails that trip, and a model whose stream is judged. The model is a fake
// one, so that the example needs no key.
import { Agent, InputGuardrailTripwireTriggered, Runner, setTracingDisabled, tool, Usage } from '@openai/agents';
import { Guard } from 'brightline';
import { guardModel, guardrails } from 'brightline/openai-agents';
import { z } from 'zod';

setTracingDisabled(true);
const usage = new Usage({ inputTokens: 9, outputTokens: 9, totalTokens: 18 });
const say = (text) => ({ type: 'message', role: 'assistant', status: 'completed', content: [{ type: 'output_text', text }] });
const call = (cmd) => ({ type: 'function_call', callId: 'c1', name: 'shell', arguments: JSON.stringify({ cmd }) });

/** Gives one output after the other. */
const fake = (...outputs) => ({
    getResponse: async () => ({ usage, output: outputs.shift() }),
    async *getStreamedResponse() {
        const output = outputs.shift();
        for (const delta of output[0].content[0].text.split(/(?= )/)) yield { type: 'output_text_delta', delta };
        yield { type: 'response_done', response: { id: 'r1', usage, output } };
    },
});

const guard = new Guard();
const rails = guardrails(guard);
const runner = (model) => new Runner({ modelProvider: { getModel: () => model } });

// The tool does not run, and the model is told why.
const shell = tool({
    name: 'shell',
    description: 'Runs a command',
    parameters: z.object({ cmd: z.string() }),
    execute: async ({ cmd }) => console.log(`never: ${cmd}`),
    inputGuardrails: [rails.toolInput],
    outputGuardrails: [rails.toolOutput],
});
const agent = new Agent({ name: 'helper', tools: [shell], inputGuardrails: [rails.input], outputGuardrails: [rails.output] });
const done = await runner(fake([call('rm -rf /')], [say('I left it as it is.')])).run(agent, 'Clean up the disk.');
console.log(done.finalOutput);

// The model is not called.
try {
    await runner(fake([say('never')])).run(agent, 'How do I make a pipe bomb?');
} catch (error) {
    if (!(error instanceof InputGuardrailTripwireTriggered)) throw error;
    console.log(error.result.output.outputInfo.findings[0].clause);
}

// The stream shows placeholders.
const model = guardModel(fake([say('Anna can help: her card is 4111 1111 1111 1111.')]), guard);
const streamed = await runner(model).run(new Agent({ name: 'helper' }), 'Who can help me?', { stream: true });
for await (const text of streamed.toTextStream()) process.stdout.write(text);
console.log();
