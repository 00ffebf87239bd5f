// Command show prints what synthesised templates would deploy, as a person
// wants to know it: resources, open ports, who may do what, and what is billed
// as long as it exists.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/fargate-driver/fargate-driver/infra/cdk/template"
)

// tables are the tables of a deployment.
type tables struct{ template.Deployment }

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: show DIRECTORY, with the templates that the CDK app wrote")
	}
	d, err := template.Read(args[0])
	if err != nil {
		return err
	}
	t := tables{d}
	t.resources(stdout)
	t.ports(stdout)
	t.roles(stdout)
	t.billed(stdout)
	return nil
}
