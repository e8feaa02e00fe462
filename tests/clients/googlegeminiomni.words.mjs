// --- your provider -----------------------------------------------------------------------------------
const BASE_URL = 'https://googlegeminiomni.com';
const SUBMIT_PATH = '/api/v1/generate';
const queryPath = (taskId) => `/api/v1/jobs/${encodeURIComponent(taskId)}`;
const authHeaders = (key) => ({ Authorization: `Bearer ${key}` });
const submitBody = (prompt, callbackUrl) => ({
  model: 'gemini-omni-video',
  prompt,
  resolution: '1080p',
  duration: 8,
  ...(callbackUrl && { callbackUrl }),
});
const taskIdIn = (answer) => answer.jobId;
const statusIn = (answer) => answer.status;
const SUCCESS = ['done'];
const FAILURE = ['failed'];
const linkIn = (answer) => answer.outputUrl;
const reasonIn = (answer) => answer.error;
const problemIn = (answer) => answer?.error;
const callbackTaskId = (event) => (/^job\.(completed|failed)$/.test(event.event) ? event.jobId : undefined);
const SIGNATURE_HEADER = 'x-gemini-signature';
const FIRST_WAIT_S = 3;
const POLL_INTERVAL_S = 3;
const MOST_POLLS = 60;
const GIVE_UP_AFTER_S = 600;
const CALLBACK_PATIENCE_S = 8;
// --- end of your provider ----------------------------------------------------------------------------
