package bench

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
)

// Main runs a command of cmd, whose flags have been parsed, until it is done or
// interrupted, and ends the process if it fails. What is wrong with the flags, if
// they are not ok, says their usage.
func Main(name string, ok bool, run func(ctx context.Context, out io.Writer) error) {
	if !ok {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		stop()
		fmt.Fprintf(os.Stderr, "%s: error: %v\n", name, err)
		os.Exit(1)
	}
}

// Program is the product as a command of cmd measures it.
type Program struct {
	Root   string // folder of the repository
	Binary string // built from it, unless one is given
}

// Flags adds the flags that say which program it is.
func (p *Program) Flags() {
	flag.StringVar(&p.Root, "root", "..", "the `folder` of the repository")
	flag.StringVar(&p.Binary, "flow2ipfix", "", "a built flow2ipfix to use instead of building one")
}

// Prepare makes a folder for a measurement, which remove removes, and builds the
// program if none is given.
func (p *Program) Prepare(ctx context.Context) (dir string, remove func() error, err error) {
	if dir, err = os.MkdirTemp("", "flow2ipfix-bench-"); err != nil {
		return "", nil, err
	}
	remove = func() error { return os.RemoveAll(dir) }
	if p.Binary == "" {
		p.Binary = filepath.Join(dir, "flow2ipfix")
		if err := Build(ctx, p.Root, "./cmd/flow2ipfix", p.Binary); err != nil {
			return "", nil, errors.Join(err, remove())
		}
	}
	return dir, remove, nil
}
