// A client of googlegeminiomni.com with Node's fetch; it knows of no mock.
const api = 'https://googlegeminiomni.com/api/v1';
const headers = { Authorization: `Bearer ${process.env.GEMINI_OMNI_API_KEY}`, 'Content-Type': 'application/json' };
const body = { model: 'gemini-omni-video', prompt: 'a red kite', resolution: '1080p', duration: 8 };

let job = await (await fetch(`${api}/generate`, { method: 'POST', headers, body: JSON.stringify(body) })).json();
while (job.status !== 'done') {
  await new Promise((resolve) => setTimeout(resolve, 50));
  job = await (await fetch(`${api}/jobs/${job.jobId}`, { headers })).json();
}
const file = await (await fetch(job.outputUrl)).arrayBuffer();
console.log(job.outputUrl, file.byteLength);
