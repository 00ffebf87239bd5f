// Command cdk is the CDK app: it reads the settings and writes CloudFormation
// templates into cdk.out. It calls nothing in AWS; `cdk deploy` does that.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"github.com/fargate-driver/fargate-driver/infra/cdk/promises"
	"github.com/fargate-driver/fargate-driver/infra/cdk/render"
	"github.com/fargate-driver/fargate-driver/infra/cdk/settings"
	"github.com/fargate-driver/fargate-driver/infra/cdk/stacks"
)

func main() {
	if err := run(os.Getenv, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run writes the templates. The CDK command line passes the output directory
// in its own environment variables.
func run(getenv func(string) string, stderr io.Writer) (err error) {
	defer jsii.Close()
	file := getenv("SETTINGS")
	if file == "" {
		file = "settings.toml"
	}
	s, err := settings.Load(file)
	if err != nil {
		return err
	}
	for _, note := range settings.Notes(s) {
		fmt.Fprintln(stderr, "note:", note)
	}
	// CDK reports its own errors by panicking.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("writing the templates: %v", p)
		}
	}()
	app := stacks.NewApp()
	awscdk.Validations_Of(app).AddPlugins(promises.Plugin(s.Entry.OpenToWorld))
	programs := filepath.Join("build", render.Architecture(s))
	if _, err := stacks.Add(app, stacks.Inputs{Settings: s, SettingsDir: filepath.Dir(file), Programs: programs}); err != nil {
		return err
	}
	app.Synth(nil)
	return nil
}
