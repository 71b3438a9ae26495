// Command yardstick sends flow logs to a collector as bench.Yardstick does, one
// after the other, and prints what it did as one JSON object.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"flow2ipfix/test/bench"
)

func main() {
	collector := flag.String("collector", "", "where the collector listens, `host:port`, over UDP")
	anew := flag.Bool("anew", false, "make the elements of each record anew")
	flag.Parse()
	if *collector == "" || flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: yardstick -collector HOST:PORT [-anew] FILE...")
		os.Exit(2)
	}
	if err := bench.YardstickMain(context.Background(), *collector, *anew, flag.Args(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "yardstick: error:", err)
		os.Exit(1)
	}
}
