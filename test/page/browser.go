// Package page looks at the status page of the real daemon with a real browser.
package page

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"flow2ipfix/test/peers"
)

// browserProgram is Debian's.
const browserProgram = "chromium"

// Browser is Chromium without a window. It is told what to do in its DevTools
// protocol, over a pair of pipes: a JSON object and a zero byte each.
type Browser struct {
	process  *peers.Process
	commands *os.File

	mu      sync.Mutex
	last    int
	waiting map[int]chan reply
	tabs    map[string]*Tab // by session
	broken  error           // why no more replies come
}

type reply struct {
	ID        int             `json:"id"`
	SessionID string          `json:"sessionId"`
	Method    string          `json:"method"`
	Params    json.RawMessage `json:"params"`
	Result    json.RawMessage `json:"result"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// StartBrowser starts one that knows this machine only. dir is empty.
func StartBrowser(dir string) (*Browser, error) {
	args := []string{
		"--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-default-browser-check", "--hide-scrollbars",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions", "--metrics-recording-only",
		"--proxy-server=direct://", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
		"--user-data-dir=" + filepath.Join(dir, "profile"), "--remote-debugging-pipe", "about:blank",
	}
	if os.Geteuid() == 0 {
		args = append([]string{"--no-sandbox"}, args...) // it refuses to have one as root
	}
	cmd, err := peers.Command(browserProgram, args...)
	if err != nil {
		return nil, err
	}
	cmd.Env = append(cmd.Env, "HOME="+dir)
	theirIn, commands, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirIn.Close()
	replies, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, commands.Close())
	}
	defer theirOut.Close()
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4, where it looks
	b := &Browser{commands: commands, waiting: map[int]chan reply{}, tabs: map[string]*Tab{}}
	if b.process, err = peers.StartCommand(dir, cmd); err != nil {
		return nil, errors.Join(err, commands.Close(), replies.Close())
	}
	go b.listen(replies)
	return b, nil
}

// Stop ends it with all that it started.
func (b *Browser) Stop() error {
	_, _ = b.call("", "Browser.close", nil) // an error says that it went before it answered
	return errors.Join(b.commands.Close(), b.process.End(syscall.SIGTERM))
}

// listen hands out what the browser says until it ends.
func (b *Browser) listen(from *os.File) {
	defer from.Close()
	r := bufio.NewReader(from)
	for {
		text, err := r.ReadBytes(0)
		var one reply
		if err == nil {
			err = json.Unmarshal(text[:len(text)-1], &one)
		}
		b.mu.Lock()
		if err != nil {
			b.broken = fmt.Errorf("the browser says no more: %w", err)
			for id, c := range b.waiting {
				close(c)
				delete(b.waiting, id)
			}
			b.mu.Unlock()
			return
		}
		if c := b.waiting[one.ID]; c != nil && one.ID > 0 {
			c <- one // it has room for one
			delete(b.waiting, one.ID)
		} else if tab := b.tabs[one.SessionID]; tab != nil {
			tab.event(one.Method, one.Params)
		}
		b.mu.Unlock()
	}
}

// call does one thing and waits for the result.
func (b *Browser) call(session, method string, params any) (json.RawMessage, error) {
	c := make(chan reply, 1)
	b.mu.Lock()
	if b.broken != nil {
		defer b.mu.Unlock()
		return nil, b.broken
	}
	b.last++
	id := b.last
	b.waiting[id] = c
	b.mu.Unlock()
	request := map[string]any{"id": id, "method": method}
	if session != "" {
		request["sessionId"] = session
	}
	if params != nil {
		request["params"] = params
	}
	text, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	if _, err := b.commands.Write(append(text, 0)); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", method, err, b.process.Log())
	}
	select {
	case r, ok := <-c:
		switch {
		case !ok:
			return nil, fmt.Errorf("%s: %w: %s", method, b.broken, b.process.Log())
		case r.Error != nil:
			return nil, fmt.Errorf("%s: %s", method, r.Error.Message)
		}
		return r.Result, nil
	case <-time.After(peers.Patience):
		return nil, fmt.Errorf("%s: no answer after %v", method, peers.Patience)
	}
}

// Screen is what a page is shown on.
type Screen struct {
	Width, Height int
	Dark          bool
	Mobile        bool
}

// Tab is a page on a screen.
type Tab struct {
	browser *Browser
	target  string
	session string
	loaded  chan struct{}

	complaints []string // guarded by the browser's lock
}

// Open shows a page and waits until it and all it needs are loaded.
func (b *Browser) Open(url string, s Screen) (*Tab, error) {
	var target struct{ TargetID string }
	if err := b.into(&target, "", "Target.createTarget", map[string]any{"url": "about:blank"}); err != nil {
		return nil, err
	}
	var attached struct{ SessionID string }
	if err := b.into(&attached, "", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}); err != nil {
		return nil, err
	}
	t := &Tab{browser: b, target: target.TargetID, session: attached.SessionID, loaded: make(chan struct{}, 16)}
	b.mu.Lock()
	b.tabs[t.session] = t
	b.mu.Unlock()
	scheme := "light"
	if s.Dark {
		scheme = "dark"
	}
	for _, step := range []struct {
		method string
		params any
	}{
		{"Page.enable", nil},
		{"Runtime.enable", nil},
		{"Log.enable", nil},
		{"Network.enable", nil},
		{"Emulation.setDeviceMetricsOverride", map[string]any{"width": s.Width, "height": s.Height, "deviceScaleFactor": 1, "mobile": s.Mobile}},
		{"Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}},
	} {
		if _, err := b.call(t.session, step.method, step.params); err != nil {
			return nil, err
		}
	}
	return t, t.Go(url)
}

// Go shows another page in the tab.
func (t *Tab) Go(url string) error {
	for len(t.loaded) > 0 {
		<-t.loaded
	}
	var result struct{ ErrorText string }
	if err := t.browser.into(&result, t.session, "Page.navigate", map[string]any{"url": url}); err != nil {
		return err
	}
	if result.ErrorText != "" {
		return fmt.Errorf("open %s: %s", url, result.ErrorText)
	}
	select {
	case <-t.loaded:
		return nil
	case <-time.After(peers.Patience):
		return fmt.Errorf("open %s: not loaded after %v", url, peers.Patience)
	}
}

// Close closes the tab.
func (t *Tab) Close() error {
	_, err := t.browser.call("", "Target.closeTarget", map[string]any{"targetId": t.target})
	return err
}

// into is call with the result decoded.
func (b *Browser) into(result any, session, method string, params any) error {
	text, err := b.call(session, method, params)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, result)
}

// event notes what the browser says of the tab. The caller holds the lock.
func (t *Tab) event(method string, params json.RawMessage) {
	switch method {
	case "Page.loadEventFired":
		select {
		case t.loaded <- struct{}{}:
		default:
		}
	case "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Network.loadingFailed":
		t.complaints = append(t.complaints, method+": "+string(params))
	}
}

// Complaints returns what was written to the console: errors of the page, what
// the content policy forbade, what could not be loaded.
func (t *Tab) Complaints() []string {
	t.browser.mu.Lock()
	defer t.browser.mu.Unlock()
	return append([]string(nil), t.complaints...)
}

// Eval asks the page. The expression's value comes as JSON would have it.
func (t *Tab) Eval(expression string, value any) error {
	var result struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Exception struct{ Description string }
		}
	}
	if err := t.browser.into(&result, t.session, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}); err != nil {
		return err
	}
	if e := result.ExceptionDetails; e != nil {
		return fmt.Errorf("ask the page: %s", e.Exception.Description)
	}
	return json.Unmarshal(result.Result.Value, value)
}

// Screenshot writes a PNG of the page, down to maxHeight.
func (t *Tab) Screenshot(path string, maxHeight int) error {
	var size struct{ Width, Height int }
	if err := t.Eval("({Width: document.documentElement.clientWidth, Height: document.documentElement.scrollHeight})", &size); err != nil {
		return err
	}
	var shot struct{ Data string }
	err := t.browser.into(&shot, t.session, "Page.captureScreenshot", map[string]any{
		"format": "png", "captureBeyondViewport": true,
		"clip": map[string]any{"x": 0, "y": 0, "width": size.Width, "height": min(size.Height, maxHeight), "scale": 1},
	})
	if err != nil {
		return err
	}
	b, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}
