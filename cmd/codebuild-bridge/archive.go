package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/archive"
)

func newArchive(c *common) *cobra.Command {
	var o archive.Options
	var symlinks, output string
	var level int
	var list bool
	cmd := &cobra.Command{
		Use:   "archive",
		Short: "show or write what build would upload, without AWS",
		Long: `Lists what build would upload (--list), or writes it to a file (--output); prints
the digest of the content, which becomes a part of the source's key.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkArchive(&o, symlinks, level, 0); err != nil {
				return err
			}
			tree, err := archive.Scan(cmd.Context(), o)
			if err != nil {
				return err
			}
			for _, warning := range tree.Warnings {
				fmt.Fprintln(cmd.ErrOrStderr(), warning)
			}
			digest, err := tree.Digest(cmd.Context())
			if err != nil {
				return err
			}
			if list {
				printList(c, tree)
			}
			if output != "" {
				if err := writeZip(cmd, tree, output, level); err != nil {
					return err
				}
			}
			fmt.Fprintln(c.stdout, digest)
			return nil
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	archiveFlags(f, &o, &symlinks, &level)
	f.StringVar(&o.Dockerfile, "dockerfile", "Dockerfile", "the Dockerfile, relative to the context")
	f.BoolVar(&list, "list", false, "list the entries with their modes and sizes")
	f.StringVarP(&output, "output", "o", "", "write the zip to this file")
	return cmd
}

// checkArchive checks the flags of archiveFlags.
func checkArchive(o *archive.Options, symlinks string, level, lowest int) error {
	var problems []error
	if level < lowest || level > 9 {
		problems = append(problems, fmt.Errorf("--compression %d is not between %d and 9", level, lowest))
	}
	switch o.Symlinks = archive.Symlinks(symlinks); o.Symlinks {
	case archive.StoreSymlinks, archive.FollowSymlinks, archive.RefuseSymlinks:
	default:
		problems = append(problems, fmt.Errorf("--symlinks %s is none of store, follow, fail", symlinks))
	}
	return errors.Join(problems...)
}

func printList(c *common, tree *archive.Tree) {
	out := bufio.NewWriter(c.stdout)
	defer out.Flush()
	for _, e := range tree.Entries {
		arrow := ""
		if e.Target != "" {
			arrow = " -> " + e.Target
		}
		fmt.Fprintf(out, "%v %12d %s%s\n", e.Mode, e.Size, e.Name, arrow)
	}
}

// writeZip leaves no half archive behind.
func writeZip(cmd *cobra.Command, tree *archive.Tree, file string, level int) error {
	f, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("writing the archive: %w", err)
	}
	err = tree.WriteZip(cmd.Context(), f, level, nil)
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		os.Remove(file)
	}
	return err
}
