package bench

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
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
