// A client of EvoLink with Go's own HTTP client; it knows of no mock. With `own`, its transport knows no proxy.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const api = "https://api.evolink.ai/v1"

type task struct {
	ID      string   `json:"id"`
	Status  string   `json:"status"`
	Results []string `json:"results"`
}

func call(client *http.Client, method, url string, body []byte) (content []byte) {
	request, _ := http.NewRequest(method, url, bytes.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+os.Getenv("EVOLINK_API_KEY"))
	request.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(request)
	if err != nil {
		panic(err)
	}
	defer answer.Body.Close()
	content, _ = io.ReadAll(answer.Body)
	return content
}

func main() {
	client := http.DefaultClient
	if len(os.Args) > 1 {
		client = &http.Client{Transport: &http.Transport{}}
	}
	var made task
	body := []byte(`{"model":"gemini-omni-flash-text-to-video","prompt":"a red kite","duration":6}`)
	json.Unmarshal(call(client, "POST", api+"/videos/generations", body), &made)
	for made.Status != "completed" {
		time.Sleep(50 * time.Millisecond)
		json.Unmarshal(call(client, "GET", api+"/tasks/"+made.ID, nil), &made)
	}
	fmt.Println(made.Results[0], len(call(client, "GET", made.Results[0], nil)))
}
