package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// fault orders failures on a running server.
func (p *program) fault() *cobra.Command {
	var endpoint string
	var f localaws.Fault
	c := &cobra.Command{
		Use:   "fault KIND",
		Short: "Order a failure on a running server",
		Long:  "fault lets calls to a running `localaws serve` fail, and prints the number of the order. The kinds:\n\n" + kinds(),
		Example: "  localaws fault capacity --count 3\n" +
			"  localaws fault refused --operation StopTask --code ThrottlingException\n" +
			"  localaws fault pull-failure --match my-family",
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			f.Kind = localaws.FaultKind(args[0])
			var ordered struct{ ID int }
			if err := p.control(c.Context(), endpoint, http.MethodPost, "faults", f, &ordered); err != nil {
				return err
			}
			fmt.Fprintln(p.stdout, ordered.ID)
			return nil
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.Service, "service", "", "only calls of this `service`, as ecs")
	flags.StringVar(&f.Operation, "operation", "", "only calls of this `operation`, as RunTask")
	flags.StringVar(&f.Match, "match", "", "only calls whose body contains this `text`")
	flags.IntVar(&f.Skip, "skip", 0, "let the first `n` calls pass")
	flags.IntVar(&f.Count, "count", 1, "hit `n` calls; -1 means all from then on")
	flags.StringVar(&f.Code, "code", "", "AWS error `code` of a refused call")
	flags.StringVar(&f.Message, "message", "", "`text` to answer, instead of AWS's usual one")
	flags.IntVar(&f.Status, "status", 0, "HTTP `status` of a refused call")
	flags.DurationVar(&f.Delay, "delay", 0, "how long a delayed call waits")
	flags.IntVar(&f.ExitCode, "exit-code", 0, "exit `code` of a container that exits at once")
	c.PersistentFlags().StringVar(&endpoint, "endpoint", "", "the server's `URL` (default: AWS_ENDPOINT_URL)")
	c.AddCommand(
		&cobra.Command{
			Use: "list", Short: "List the orders and how many calls they hit", Args: arguments(cobra.NoArgs),
			RunE: func(c *cobra.Command, _ []string) error { return p.show(c.Context(), endpoint, "faults") },
		},
		&cobra.Command{
			Use: "release ID", Short: "Let the calls that hang go on", Args: arguments(cobra.ExactArgs(1)),
			RunE: func(c *cobra.Command, args []string) error {
				return p.control(c.Context(), endpoint, http.MethodPost, "faults/"+args[0]+"/release", nil, nil)
			},
		},
		&cobra.Command{
			Use: "remove ID", Short: "Take an order back", Args: arguments(cobra.ExactArgs(1)),
			RunE: func(c *cobra.Command, args []string) error {
				return p.control(c.Context(), endpoint, http.MethodDelete, "faults/"+args[0], nil, nil)
			},
		})
	return c
}

// task ends a task as AWS or somebody else would.
func (p *program) task() *cobra.Command {
	var endpoint string
	c := &cobra.Command{Use: "task", Short: "Let something happen to a task of a running server"}
	c.PersistentFlags().StringVar(&endpoint, "endpoint", "", "the server's `URL` (default: AWS_ENDPOINT_URL)")
	for name, short := range map[string]string{
		"interrupt":     "Reclaim it as Fargate Spot does",
		"stop":          "Stop it as a person does in the console",
		"out-of-memory": "Kill it for memory",
	} {
		c.AddCommand(&cobra.Command{
			Use: name + " ID", Short: short, Args: arguments(cobra.ExactArgs(1)),
			RunE: func(c *cobra.Command, args []string) error {
				id := args[0][strings.LastIndex(args[0], "/")+1:]
				return p.control(c.Context(), endpoint, http.MethodPost, "tasks/"+id+"/"+name, nil, nil)
			},
		})
	}
	return c
}

func (p *program) calls() *cobra.Command {
	var endpoint string
	c := &cobra.Command{
		Use: "calls", Short: "List the calls that a running server has got", Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return p.show(c.Context(), endpoint, "calls") },
	}
	c.Flags().StringVar(&endpoint, "endpoint", "", "the server's `URL` (default: AWS_ENDPOINT_URL)")
	return c
}

func kinds() string {
	var b strings.Builder
	for _, k := range localaws.FaultKinds() {
		fmt.Fprintf(&b, "  %-14s%s\n", k, k.Meaning())
	}
	return b.String()
}

// show prints a list of the server's, one JSON value a line.
func (p *program) show(ctx context.Context, endpoint, what string) error {
	var list []json.RawMessage
	if err := p.control(ctx, endpoint, http.MethodGet, what, nil, &list); err != nil {
		return err
	}
	for _, item := range list {
		fmt.Fprintln(p.stdout, string(item))
	}
	return nil
}

// control speaks to the stand-in's own addresses.
func (p *program) control(ctx context.Context, endpoint, method, path string, in, out any) error {
	endpoint = strings.TrimSuffix(cmp.Or(endpoint, p.getenv("AWS_ENDPOINT_URL")), "/")
	if endpoint == "" {
		return &usageError{fmt.Errorf("finding the server: neither --endpoint nor AWS_ENDPOINT_URL is set; `localaws serve` prints it")}
	}
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encoding the order: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, method, endpoint+"/_localaws/"+path, bytes.NewReader(body))
	if err != nil {
		return &usageError{fmt.Errorf("making a call to %s: %w", endpoint, err)}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("calling the stand-in: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("reading the stand-in's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("calling the stand-in: %s: %s", resp.Status, strings.TrimSpace(string(answer)))
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("reading the stand-in's answer: %w", err)
	}
	return nil
}
