package task

import (
	"fmt"
	"strings"
)

// Size is what Fargate bills: CPU units (1,024 are one vCPU) and MiB.
// A zero means "as the task definition says".
type Size struct {
	CPU    int
	Memory int
}

func (s Size) String() string {
	return fmt.Sprintf("%s vCPU, %s", number(float64(s.CPU)/1024), memory(s.Memory))
}

func number(f float64) string { return fmt.Sprintf("%g", f) }

func memory(mib int) string {
	if mib%1024 == 0 {
		return fmt.Sprintf("%d GiB", mib/1024)
	}
	return fmt.Sprintf("%d MiB", mib)
}

// sizes are the pairs that Fargate takes: for each CPU value the memory values
// in MiB, from "Amazon ECS task CPU and memory" in the Amazon ECS Developer
// Guide. The row of 32,768 is in newer editions of it only.
var sizes = []struct {
	cpu      int
	memories []int
}{
	{256, []int{512, 1024, 2048}},
	{512, steps(1024, 4096, 1024)},
	{1024, steps(2048, 8192, 1024)},
	{2048, steps(4096, 16384, 1024)},
	{4096, steps(8192, 30720, 1024)},
	{8192, steps(16384, 61440, 4096)},
	{16384, steps(32768, 122880, 8192)},
	{32768, []int{61440, 122880, 249856}},
}

func steps(from, to, step int) []int {
	var all []int
	for m := from; m <= to; m += step {
		all = append(all, m)
	}
	return all
}

// Fit says whether Fargate has a size.
type Fit int

const (
	Fits       Fit = iota
	Impossible     // the CPU value is known and the memory is not one of its own
	Unknown        // a CPU value that the table does not have; AWS may have it by now
)

// CheckSize compares a complete size with Fargate's table. For Impossible and
// Unknown the text says what is allowed.
func CheckSize(s Size) (Fit, string) {
	for _, row := range sizes {
		if row.cpu != s.CPU {
			continue
		}
		for _, m := range row.memories {
			if m == s.Memory {
				return Fits, ""
			}
		}
		return Impossible, fmt.Sprintf("Fargate has no task of %d CPU units with %d MiB; with %d CPU units it takes %s",
			s.CPU, s.Memory, s.CPU, allowed(row.memories))
	}
	cpus := make([]string, len(sizes))
	for i, row := range sizes {
		cpus[i] = fmt.Sprint(row.cpu)
	}
	return Unknown, fmt.Sprintf("%d CPU units is not a size this version knows; known are %s", s.CPU, strings.Join(cpus, ", "))
}

func allowed(memories []int) string {
	if len(memories) <= 4 {
		words := make([]string, len(memories))
		for i, m := range memories {
			words[i] = fmt.Sprint(m)
		}
		return strings.Join(words, ", ") + " MiB"
	}
	return fmt.Sprintf("%d to %d MiB in steps of %d", memories[0], memories[len(memories)-1], memories[1]-memories[0])
}

// The limits of Fargate's ephemeral storage in GiB, and what a task has
// without asking (Fargate task ephemeral storage, Amazon ECS Developer Guide).
const (
	MinEphemeralStorage     = 21
	MaxEphemeralStorage     = 200
	DefaultEphemeralStorage = 20
)
