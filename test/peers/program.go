package peers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
)

// Product is the built program.
var Product string

// Build builds the program in dir, from the module above this one.
func Build(dir string) error {
	Product = filepath.Join(dir, "flow2ipfix")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", Product, "./cmd/flow2ipfix")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0") // as it is released
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build flow2ipfix: %w: %s", err, out)
	}
	return nil
}

// Ended is how a run of the program ended.
type Ended struct {
	Code   int
	Stdout []byte
	Stderr string
}

// Run runs the program to its end.
func Run(args ...string) Ended { return RunWith(nil, args...) }

// RunWith runs the program to its end, with the given standard input.
func RunWith(stdin io.Reader, args ...string) Ended {
	cmd, err := Command(Product, args...)
	if err != nil {
		return Ended{Code: -1, Stderr: err.Error()}
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		stderr.WriteString(err.Error())
	}
	return Ended{cmd.ProcessState.ExitCode(), stdout.Bytes(), stderr.String()}
}
