// A client of the `openai` package behind a guard. Its requests are answered here, so that the example needs no key.
import OpenAI from 'openai';
import { Guard } from 'brightline';
import { guardOpenAI } from 'brightline/openai';

const chunk = (delta, finish_reason = null) => ({ id: '1', object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason }] });
const answer = [chunk({ content: 'Anna can help: her card is 4111 1111' }), chunk({ content: ' 1111 1111.' }), chunk({}, 'stop')];
const fetch = async () => {
    const events = answer.map((it) => `data: ${JSON.stringify(it)}\n\n`).join('') + 'data: [DONE]\n\n';
    return new Response(events, { headers: { 'content-type': 'text/event-stream' } });
};

const client = guardOpenAI(new OpenAI({ apiKey: 'none', fetch }), new Guard());

for (const content of ['Who can help me?', 'How do I make a pipe bomb?']) {
    const messages = [{ role: 'user', content }];
    const stream = await client.chat.completions.create({ model: 'any', messages, stream: true });
    for await (const { choices } of stream) process.stdout.write(choices[0]?.delta.content ?? '');
    console.log();
}
