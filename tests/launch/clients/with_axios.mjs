// A client of EvoLink with axios; it knows of no mock.
import { createRequire } from 'node:module';

const axios = createRequire(import.meta.url)('axios');
const api = axios.create({
  baseURL: 'https://api.evolink.ai/v1',
  headers: { Authorization: `Bearer ${process.env.EVOLINK_API_KEY}` },
});

const submit = { model: 'gemini-omni-flash-text-to-video', prompt: 'a red kite', duration: 6 };
let { data: task } = await api.post('/videos/generations', submit);
while (task.status !== 'completed') {
  await new Promise((resolve) => setTimeout(resolve, 50));
  ({ data: task } = await api.get(`/tasks/${task.id}`));
}
const { data: file } = await axios.get(task.results[0], { responseType: 'arraybuffer' });
console.log(task.results[0], file.byteLength);
