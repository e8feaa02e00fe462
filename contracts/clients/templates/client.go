// A client of an asynchronous video API that keeps the rules. For Go 1.21 and newer, without dependencies.
// Copy it, and put your provider's names into the block below (they are those of EvoLink).
//
//	API_KEY=... go run client.go "A red kite over the sea"
//	go build -o client client.go && contracts run --provider evolink --command ./client
//
// Build it for contracts: `go run` compiles it for every job, within the job's time limit.
//
// It submits once, polls until the task has ended, and downloads the file. Temporary failures are retried after
// growing waits; a final refusal ends it with the provider's reason on standard error and exit code 1. The last
// line of its output is the file name. It does not receive callbacks.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// --- your provider ----------------------------------------------------------------------------------

const (
	baseURL      = "https://api.evolink.ai"
	submitPath   = "/v1/videos/generations"
	firstWait    = 5 * time.Second // before the first query
	pollInterval = 5 * time.Second // between two queries
	mostPolls    = 100
	giveUpAfter  = 600 * time.Second
)

func queryPath(taskID string) string { return "/v1/tasks/" + url.PathEscape(taskID) }

func authorize(request *http.Request, key string) { request.Header.Set("Authorization", "Bearer "+key) }

func submitBody(prompt string) any {
	return map[string]any{"model": "gemini-omni-flash-text-to-video", "prompt": prompt, "duration": 6}
}

// answer is the API's answer to a submit or a query, or a refusal.
type answer struct {
	ID      string   `json:"id"`
	Status  string   `json:"status"`
	Results []string `json:"results"`
	Error   *struct {
		Code    any    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

var (
	successes = map[string]bool{"completed": true}
	failures  = map[string]bool{"failed": true, "cancelled": true}
)

// --- end of your provider ---------------------------------------------------------------------------

var (
	retryWaits = []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} // plus jitter
	temporary  = map[int]bool{408: true, 429: true, 500: true, 502: true, 503: true, 504: true}
	api        = &http.Client{Timeout: 30 * time.Second}
	files      = &http.Client{Timeout: 300 * time.Second}
)

// callError is a failed request: whether a retry may succeed, whether an answer was received, and Retry-After.
type callError struct {
	message   string
	status    int
	retryable bool
	answered  bool
	wait      time.Duration
}

func (t *callError) Error() string { return t.message }

// retryAfter reads Retry-After: seconds, or a date, which is compared with the server's Date.
func retryAfter(header http.Header) time.Duration {
	text := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	if now, err := http.ParseTime(header.Get("Date")); err == nil {
		return at.Sub(now)
	}
	return time.Until(at)
}

// call sends one request to the API.
func call(method, path string, body any) (*answer, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequest(method, base+path, content)
	if err != nil {
		return nil, err
	}
	authorize(request, key)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
		request.GetBody = nil // net/http must not repeat a submit on its own
	}
	response, err := api.Do(request)
	if err != nil {
		return nil, &callError{message: err.Error(), retryable: true}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, &callError{message: method + " " + path + ": " + err.Error(), retryable: true}
	}
	var found answer
	err = json.Unmarshal(text, &found)
	if response.StatusCode < 200 || response.StatusCode > 299 {
		why := "no reason given"
		if found.Error != nil && found.Error.Message != "" {
			why = found.Error.Message
		}
		return nil, &callError{
			message:   fmt.Sprintf("%d: %s (request %s)", response.StatusCode, why, response.Header.Get("X-Request-Id")),
			status:    response.StatusCode,
			retryable: temporary[response.StatusCode],
			answered:  true,
			wait:      retryAfter(response.Header),
		}
	}
	if err != nil {
		return nil, &callError{message: method + " " + path + ": the answer cannot be read: " + err.Error(), retryable: true}
	}
	if found.Status == "" && found.Error != nil {
		return nil, &callError{message: "an error inside 200: " + found.Error.Message, retryable: true}
	}
	return &found, nil
}

// withRetries retries temporary failures.
func withRetries[T any](attempt func() (T, error), mayRetry func(*callError) bool) (T, error) {
	for tries := 0; ; tries++ {
		value, err := attempt()
		var failure *callError
		if err == nil || !errors.As(err, &failure) || tries >= len(retryWaits) || !mayRetry(failure) {
			return value, err
		}
		wait := retryWaits[tries]
		if failure.wait > wait {
			wait = failure.wait
		}
		time.Sleep(wait + time.Duration(rand.Int63n(int64(500*time.Millisecond))))
	}
}

// submit submits the job once: it repeats the request only after an answer that says that nothing was done.
func submit(prompt string) (string, error) {
	made, err := withRetries(
		func() (*answer, error) { return call(http.MethodPost, submitPath, submitBody(prompt)) },
		func(failure *callError) bool { return failure.retryable && failure.answered },
	)
	var failure *callError
	if errors.As(err, &failure) && failure.retryable && !failure.answered {
		return "", fmt.Errorf("%w; the task may exist and be charged: check before repeating it", err)
	}
	if err == nil && made.ID == "" {
		return "", errors.New("the answer to the submit names no task")
	}
	if err != nil {
		return "", err
	}
	return made.ID, nil
}

// waitForEnd polls until the task has ended; it returns the link to the file.
func waitForEnd(taskID string) (string, error) {
	deadline := time.Now().Add(giveUpAfter)
	time.Sleep(firstWait)
	for polls := 0; polls < mostPolls && time.Now().Before(deadline); polls++ {
		task, err := withRetries(
			func() (*answer, error) { return call(http.MethodGet, queryPath(taskID), nil) },
			func(failure *callError) bool { return failure.retryable },
		)
		var failure *callError
		if errors.As(err, &failure) && failure.status == http.StatusNotFound {
			task, err = &answer{}, nil // not found yet
		}
		if err != nil {
			return "", err
		}
		status := strings.ToLower(task.Status) // an unknown status is not an end
		if failures[status] {
			if task.Error == nil {
				return "", errors.New("the task " + status)
			}
			return "", fmt.Errorf("the task %s: %v: %s", status, task.Error.Code, task.Error.Message)
		}
		if successes[status] && len(task.Results) > 0 {
			return task.Results[0], nil
		}
		time.Sleep(pollInterval)
	}
	return "", fmt.Errorf("%s has not ended after %s or %d queries", taskID, giveUpAfter, mostPolls)
}

// download fetches the complete file from the link as given, without the key (net/http checks its length).
func download(link string) ([]byte, error) {
	response, err := files.Get(link)
	if err != nil {
		return nil, &callError{message: "the file: " + err.Error(), retryable: true}
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, &callError{
			message:   fmt.Sprintf("the file's link answered %d", response.StatusCode),
			retryable: temporary[response.StatusCode],
		}
	}
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, &callError{message: "the file: " + err.Error(), retryable: true}
	}
	return content, nil
}

func generate(prompt, output string) error {
	taskID, err := submit(prompt)
	if err != nil {
		return err
	}
	link, err := waitForEnd(taskID)
	if err != nil {
		return err
	}
	content, err := withRetries(
		func() ([]byte, error) { return download(link) },
		func(failure *callError) bool { return failure.retryable },
	)
	if err != nil {
		return err
	}
	return os.WriteFile(output, content, 0o644)
}

// first returns the first text that is not empty.
func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

var (
	base = strings.TrimRight(first(os.Getenv("CONTRACT_BASE_URL"), baseURL), "/")
	key  = first(os.Getenv("CONTRACT_API_KEY"), os.Getenv("API_KEY"))
)

func main() {
	prompt := first(os.Getenv("CONTRACT_PROMPT"), strings.Join(os.Args[1:], " "))
	output := first(os.Getenv("CONTRACT_OUTPUT"), "video.mp4")
	if key == "" || prompt == "" {
		fmt.Fprintln(os.Stderr, "usage: API_KEY=... client PROMPT")
		os.Exit(2)
	}
	if err := generate(prompt, output); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(output)
}
