// A client of EvoLink that asks a proxy as axios did up to 1.7: for the whole https URL, in plain HTTP.
import http from 'node:http';

const { hostname, port } = new URL(process.env.https_proxy);
const headers = { Authorization: `Bearer ${process.env.EVOLINK_API_KEY}`, 'Content-Type': 'application/json' };

const call = (method, url, body, more) => new Promise((resolve, reject) => {
  const host = new URL(url).host;
  const options = { method, hostname, port, path: url, headers: { ...more, host } };
  const request = http.request(options, (answer) => {
    const parts = [];
    answer.on('data', (part) => parts.push(part));
    answer.on('end', () => resolve(Buffer.concat(parts)));
  });
  request.on('error', reject);
  request.end(body);
});

const submit = { model: 'gemini-omni-flash-text-to-video', prompt: 'a red kite', duration: 6 };
const url = 'https://api.evolink.ai/v1';
let task = JSON.parse(await call('POST', `${url}/videos/generations`, JSON.stringify(submit), headers));
while (task.status !== 'completed') {
  await new Promise((resolve) => setTimeout(resolve, 50));
  task = JSON.parse(await call('GET', `${url}/tasks/${task.id}`, undefined, headers));
}
console.log(task.results[0], (await call('GET', task.results[0])).length);
