// A client of EvoLink with Node's module https and an agent that keeps connections; it knows of no mock.
import https from 'node:https';

const agent = new https.Agent({ keepAlive: true });
const headers = { Authorization: `Bearer ${process.env.EVOLINK_API_KEY}`, 'Content-Type': 'application/json' };

const call = (method, url, body, more) => new Promise((resolve, reject) => {
  const request = https.request(url, { method, agent, ...more }, (answer) => {
    const parts = [];
    answer.on('data', (part) => parts.push(part));
    answer.on('end', () => resolve(Buffer.concat(parts)));
  });
  request.on('error', reject);
  request.end(body);
});

const submit = { model: 'gemini-omni-flash-text-to-video', prompt: 'a red kite', duration: 6 };
const url = 'https://api.evolink.ai/v1';
let task = JSON.parse(await call('POST', `${url}/videos/generations`, JSON.stringify(submit), { headers }));
while (task.status !== 'completed') {
  await new Promise((resolve) => setTimeout(resolve, 50));
  task = JSON.parse(await call('GET', `${url}/tasks/${task.id}`, undefined, { headers }));
}
console.log(task.results[0], (await call('GET', task.results[0])).length);
agent.destroy();
