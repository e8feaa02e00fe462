// A client of googlegeminiomni.com's, written the way tutorials write them. It works on a good day.

import { createServer } from 'node:http';
import { writeFile } from 'node:fs/promises';

const { CONTRACT_BASE_URL: baseUrl, CONTRACT_API_KEY: apiKey, CONTRACT_PROMPT: prompt } = process.env;
const { CONTRACT_CALLBACK_URL: callbackUrl, CONTRACT_CALLBACK_PORT: callbackPort } = process.env;
const headers = { Authorization: `Bearer ${apiKey}`, 'Content-Type': 'application/json' };

// Networks are flaky, so try until it works.
async function api(url, options = {}) {
  while (true) {
    try {
      const response = await fetch(url, { headers, ...options });
      if (response.ok) return await response.json();
    } catch (error) {
      console.error('retrying', error);
    }
  }
}

async function save(url) {
  const response = await fetch(url, { headers });
  await writeFile(process.env.CONTRACT_OUTPUT, Buffer.from(await response.arrayBuffer()));
  console.log(process.env.CONTRACT_OUTPUT);
  process.exit(0);
}

if (callbackUrl) {
  createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const event = JSON.parse(body);
    response.end('ok');
    if (event.event === 'job.completed') await save(event.outputUrl);
  }).listen(callbackPort);
}

const job = await api(`${baseUrl}/api/v1/generate`, {
  method: 'POST',
  body: JSON.stringify({
    model: 'gemini-omni-video',
    prompt,
    resolution: '1080p',
    duration: 8,
    ...(callbackUrl && { callbackUrl }),
  }),
});

if (!callbackUrl) {
  let status = { status: 'accepted' };
  while (status.status !== 'done') {
    await new Promise((resolve) => setTimeout(resolve, 100));
    status = await api(`${baseUrl}/api/v1/jobs/${job.jobId}`);
  }
  await save(status.outputUrl);
}
