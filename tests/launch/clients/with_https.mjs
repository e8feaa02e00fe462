// A client of EvoLink with Node's own modules; it knows of no mock. Its agent keeps connections; with `like_axios`, it asks
// a proxy as axios did up to 1.7: for the whole https URL, in plain HTTP.
import http from 'node:http';
import https from 'node:https';

const agent = new https.Agent({ keepAlive: true });
const likeAxios = process.argv.includes('like_axios');

const open = (url, options, answered) => {
  if (!likeAxios) return https.request(url, { ...options, agent }, answered);
  const { hostname, port } = new URL(process.env.https_proxy);
  const headers = { ...options.headers, host: new URL(url).host };
  return http.request({ ...options, hostname, port, path: url, headers }, answered);
};
const headers = { Authorization: `Bearer ${process.env.EVOLINK_API_KEY}`, 'Content-Type': 'application/json' };

const call = (method, url, body, more) => new Promise((resolve, reject) => {
  const request = open(url, { method, ...more }, (answer) => {
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
