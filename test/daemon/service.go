package daemon

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"flow2ipfix/test/peers"
)

// Service is the daemon, `flow2ipfix run`, as a service manager would run it:
// started, told to end, killed and started again with the same configuration.
type Service struct {
	t       *testing.T
	dir     string
	file    string // the configuration
	wrap    func(program string, args []string) (string, []string)
	runs    int
	process *peers.Process
	logs    []string // the files of all runs

	// Kills is when it was killed or ended: what it had sent shortly before may
	// come again.
	Kills []time.Time
}

// startService starts the daemon.
func startService(t *testing.T, c Config) *Service {
	t.Helper()
	s := newService(t, c)
	s.start()
	return s
}

// newService writes the configuration of a daemon that does not run yet. It is
// ended with the test, and if the test failed what it said last is shown.
func newService(t *testing.T, c Config) *Service {
	t.Helper()
	s := &Service{t: t, dir: t.TempDir()}
	var err error
	if s.file, err = c.write(s.dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.process != nil {
			if err := s.process.End(syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		}
		if t.Failed() {
			for _, file := range s.logs[max(0, len(s.logs)-2):] {
				b, _ := os.ReadFile(file)
				const most = 6000
				t.Logf("%s of %d, its last words:\n%s", file, len(s.logs), b[max(0, len(b)-most):])
			}
		}
	})
	return s
}

// start starts it, or starts it again.
func (s *Service) start() {
	s.t.Helper()
	s.runs++
	dir := filepath.Join(s.dir, fmt.Sprintf("run-%d", s.runs))
	if err := os.Mkdir(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	program, args := peers.Product, []string{"run", "--config", s.file}
	if s.wrap != nil {
		program, args = s.wrap(program, args)
	}
	p, err := peers.Start(dir, program, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.process = p
	s.logs = append(s.logs, p.LogFile)
}

// alive fails the test if the daemon has ended by itself.
func (s *Service) alive() error {
	if s == nil {
		return nil
	}
	return s.process.Alive()
}

// kill kills it as nothing can be caught.
func (s *Service) kill() {
	s.t.Helper()
	s.Kills = append(s.Kills, time.Now())
	if err := s.process.End(syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
}

// end tells it to end, and fails the test if it does not do so in good order.
func (s *Service) end() {
	s.t.Helper()
	s.Kills = append(s.Kills, time.Now())
	if err := s.process.End(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	if code := s.process.Code(); code != 0 {
		s.t.Errorf("the daemon ended with %d after SIGTERM, want 0: %s", code, s.process.Log())
	}
}

// reload writes another configuration and tells it to load that.
func (s *Service) reload(c Config) {
	s.t.Helper()
	if _, err := c.write(s.dir); err != nil {
		s.t.Fatal(err)
	}
	if err := s.process.Signal(syscall.SIGHUP); err != nil {
		s.t.Fatal(err)
	}
}

// flowLog is what the daemon remembers of one.
type flowLog struct {
	Name     string    `json:"name"`
	LowWater time.Time `json:"low_water"`
	Blobs    []struct {
		Name   string `json:"name"`
		Offset int    `json:"offset"`
	} `json:"blobs"`
}

// flowLogs returns what the daemon remembers, as a user would ask.
func (s *Service) flowLogs() ([]flowLog, error) {
	r := peers.Run("checkpoints", "list", "--config", s.file, "--format", "json")
	if r.Code != 0 {
		return nil, fmt.Errorf("checkpoints list ended with %d: %s", r.Code, r.Stderr)
	}
	var doc struct {
		Sources []struct {
			FlowLogs []flowLog `json:"flow_logs"`
		} `json:"sources"`
	}
	if err := json.Unmarshal(r.Stdout, &doc); err != nil || len(doc.Sources) == 0 {
		return nil, err
	}
	return doc.Sources[0].FlowLogs, nil
}

// waitEnd waits for it to end by itself, and returns its exit code and what it
// said.
func (s *Service) waitEnd() (code int, words string) {
	s.t.Helper()
	select {
	case <-s.process.Exited():
		return s.process.Code(), s.process.Log()
	case <-time.After(peers.Patience):
		s.t.Fatalf("the daemon did not end: %s", s.process.Log())
		return 0, ""
	}
}

// says waits until the present run has said something.
func (s *Service) says(what string, said func(log string) bool) {
	s.t.Helper()
	s.saysWithin(peers.Patience, what, said)
}

// saysWithin is says for what takes longer.
func (s *Service) saysWithin(limit time.Duration, what string, said func(log string) bool) {
	s.t.Helper()
	err := peers.Within(limit, what, func() (bool, error) {
		if said(s.process.Log()) {
			return true, nil
		}
		return false, s.process.Alive()
	})
	if err != nil {
		s.t.Fatalf("%v: %s", err, s.process.Log())
	}
}
