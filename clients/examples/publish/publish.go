// publish.go CHANNEL DATA [KEY]: publishes once, whatever happens on the way. Go 1.18 or newer, the standard library only.
//
//	go run publish.go orders '{"id":42,"total":9.90}' order-42
//
// DATA is any JSON value and arrives byte for byte. KEY names what is published (an order's number, say): the hub publishes it once, however often
// it is sent. CARILLON_URL is where the API is, CARILLON_KEY the key, CARILLON_PATIENCE how many seconds to go on trying.
// Prints the message's id. Status 0: published; 1: refused, or nobody answered in time; 2: not called like this.
package main

import (
	crand "crypto/rand"
	"encoding/json"
	"fmt"
	"math/rand"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

type answer struct{ ID, Code, Detail string }

var client = http.Client{Timeout: 10 * time.Second}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// send tells status and Retry-After of the answer; status 0: there was none, or not all of it.
func send(target, data, key string) (status int, retryAfter time.Duration, a answer) {
	request, err := http.NewRequest("POST", target, strings.NewReader(`{"data":`+data+`}`))
	if err != nil {
		return 400, 0, answer{Code: "bad address", Detail: err.Error()}
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", key)
	if secret := os.Getenv("CARILLON_KEY"); secret != "" {
		request.Header.Set("Authorization", "Bearer "+secret)
	}
	response, err := client.Do(request)
	if err != nil { // refused, cut, too slow
		return 0, 0, answer{Code: "no answer", Detail: err.Error()}
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil && response.StatusCode == 201 {
		return 0, 0, answer{Code: "no answer", Detail: err.Error()}
	}
	seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
	return response.StatusCode, time.Duration(seconds) * time.Second, a
}

func mayRetry(status int, a answer) bool {
	return status == 0 || status == 408 || status == 429 || status >= 500 || a.Code == "idempotency_in_progress"
}

// publish gives the message's id. data is JSON text.
func publish(channel, data, key string) (string, error) {
	target := env("CARILLON_URL", "http://localhost:8001") + "/v1/channels/" + url.PathEscape(channel) + "/messages"
	patience, _ := strconv.ParseFloat(env("CARILLON_PATIENCE", "60"), 64)
	end := time.Now().Add(time.Duration(patience * float64(time.Second)))
	for pause := 500 * time.Millisecond; ; pause *= 2 {
		if pause > 30*time.Second {
			pause = 30 * time.Second
		}
		status, wait, a := send(target, data, key)
		if status == 201 {
			return a.ID, nil
		}
		problem := fmt.Errorf("%s: %s", a.Code, a.Detail)
		if a.Code == "" { // a proxy between
			problem = fmt.Errorf("%d: %s", status, http.StatusText(status))
		}
		if !mayRetry(status, a) {
			return "", problem
		}
		if wait == 0 {
			wait = pause
		}
		wait += time.Duration(rand.Float64() * float64(pause))
		if time.Now().Add(wait).After(end) {
			return "", fmt.Errorf("given up: %w", problem)
		}
		time.Sleep(wait)
	}
}

func main() {
	if len(os.Args) < 3 || len(os.Args) > 4 {
		fmt.Fprintln(os.Stderr, "usage: publish CHANNEL DATA [KEY]")
		os.Exit(2)
	}
	random := make([]byte, 16)
	crand.Read(random)
	key := fmt.Sprintf("%x", random)
	if len(os.Args) == 4 {
		key = os.Args[3]
	}
	id, err := publish(os.Args[1], os.Args[2], key)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(id)
}
