// Routes of Express behind a guard, one that answers as a whole and one that streams, asked by their own client.
import express from 'express';
import { Guard } from 'brightline';
import { guardExpress } from 'brightline/express';

const guarded = guardExpress(new Guard());
const app = express();
app.use(express.json());
app.post('/chat', guarded, (_req, res) => {
    res.type('text/plain').send('Anna can help: her card is 4111 1111 1111 1111.');
});
app.post('/stream', guarded, (_req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const content of ['Anna can help: her card is 4111', ' 1111 1111', ' 1111.']) {
        res.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`);
    }
    res.end('data: [DONE]\n\n');
});

const server = app.listen(0);
for (const path of ['chat', 'stream']) {
    const url = `http://localhost:${server.address().port}/${path}`;
    for (const content of ['Who can help me?', 'How do I make a pipe bomb?']) {
        const body = JSON.stringify({ stream: path === 'stream', messages: [{ role: 'user', content }] });
        const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
        console.log(await response.text());
    }
}
server.close();
server.closeAllConnections();
