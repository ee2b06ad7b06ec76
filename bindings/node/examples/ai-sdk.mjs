// A model of the AI SDK behind a guard. The model is a fake one, so that the example needs no key.
import { streamText, wrapLanguageModel } from 'ai';
import { simulateReadableStream, MockLanguageModelV4 } from 'ai/test';
import { Guard } from 'brightline';
import { guardMiddleware } from 'brightline/ai-sdk';

const usage = {
    inputTokens: { total: 9, noCache: 9, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 9, text: 9, reasoning: 0 },
};
const fake = new MockLanguageModelV4({
    doStream: async () => ({
        stream: simulateReadableStream({
            chunks: [
                { type: 'text-start', id: '1' },
                { type: 'text-delta', id: '1', delta: 'Anna can help: her card is 4111 1111' },
                { type: 'text-delta', id: '1', delta: ' 1111 1111, and she knows it all.' },
                { type: 'text-end', id: '1' },
                { type: 'finish', finishReason: { unified: 'stop', raw: undefined }, usage },
            ],
        }),
    }),
});

const model = wrapLanguageModel({ model: fake, middleware: guardMiddleware(new Guard()) });

const answer = streamText({ model, prompt: 'Who can help me?' });
for await (const text of answer.textStream) process.stdout.write(text);
console.log();

const refused = streamText({ model, prompt: 'How do I make a pipe bomb?' });
console.log(await refused.text);
console.log(await refused.finishReason);
