// Command readme prints the table of the README about the proof of power, from
// what its parts left behind, or what it leaves unproven, or writes down what clean
// runs came to.
//
//	readme -parts DIRECTORY [-seeds FILE]... [-runs COMMAND RUN_DIRECTORY...]
//	readme -parts DIRECTORY -unproven
//	readme -runs COMMAND -save FILE RUN_DIRECTORY...
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/planecheck/planecheck/checkers/power/known"
	"github.com/planecheck/planecheck/checkers/power/tally"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "readme:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("readme", flag.ContinueOnError)
	parts := flags.String("parts", "", "the `directory` with what the parts left behind")
	var seeds []string
	flags.Func("seeds", "a `file` that -save wrote; it may be missing; may be given more than once", func(file string) error {
		seeds = append(seeds, file)
		return nil
	})
	save := flags.String("save", "", "the `file` to write down what clean runs came to")
	unproven := flags.Bool("unproven", false, "print what no lie puts to the test, instead of the table")
	command := flags.String("runs", "", "the `command` that made the run directories")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *save != "" {
		c, err := tally.Count(*command, flags.Args())
		if err != nil {
			return err
		}
		return c.Save(*save)
	}
	p, err := tally.Load(*parts)
	if err != nil {
		return err
	}
	p.Known = known.Guarantees()
	if *unproven {
		_, err = io.WriteString(out, p.Unproven())
		return err
	}
	if flags.NArg() > 0 {
		c, err := tally.Count(*command, flags.Args())
		if err != nil {
			return err
		}
		p.Clean = append(p.Clean, c)
	}
	for _, file := range seeds {
		switch c, err := tally.LoadClean(file); {
		case err == nil:
			p.Clean = append(p.Clean, c)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	_, err = io.WriteString(out, p.Table())
	return err
}
