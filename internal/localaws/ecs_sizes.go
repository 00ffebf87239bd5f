package localaws

import (
	"regexp"
	"slices"
	"strconv"
)

// fargateMemory returns the memory values in MiB that Fargate has for a number
// of CPU units, from "Amazon ECS task CPU and memory"; nil for a number that it
// does not have.
func fargateMemory(cpu int) []int {
	switch cpu {
	case 256:
		return []int{512, 1024, 2048}
	case 512:
		return gibibytes(1, 4, 1)
	case 1024:
		return gibibytes(2, 8, 1)
	case 2048:
		return gibibytes(4, 16, 1)
	case 4096:
		return gibibytes(8, 30, 1)
	case 8192:
		return gibibytes(16, 60, 4)
	case 16384:
		return gibibytes(32, 120, 8)
	case 32768:
		return []int{60 << 10, 120 << 10, 244 << 10}
	}
	return nil
}

func gibibytes(from, to, step int) []int {
	var all []int
	for g := from; g <= to; g += step {
		all = append(all, g<<10)
	}
	return all
}

var (
	vcpuPattern   = regexp.MustCompile(`^(?i)([0-9]*\.?[0-9]+) *vcpu$`)
	memoryPattern = regexp.MustCompile(`^(?i)([0-9]*\.?[0-9]+) *gb$`)
)

// checkSize reads a task's size as the API takes it ("1024" or "1 vCPU", "2048"
// or "2 GB") and returns CPU units and MiB as strings of digits.
func checkSize(cpu, memory string) (string, string, error) {
	units, ok1 := size(cpu, vcpuPattern)
	mib, ok2 := size(memory, memoryPattern)
	if !ok1 || !ok2 {
		return "", "", refuse("ClientException", "Invalid setting for container. At least one of 'memory' or 'memoryReservation' must be specified, and cpu and memory must be numbers: %q CPU, %q memory", cpu, memory)
	}
	if !slices.Contains(fargateMemory(units), mib) {
		return "", "", refuse("ClientException", "No Fargate configuration exists for given values: %d CPU, %d memory. See the Amazon ECS documentation for the valid values.", units, mib)
	}
	return strconv.Itoa(units), strconv.Itoa(mib), nil
}

func size(s string, unit *regexp.Regexp) (int, bool) {
	if m := unit.FindStringSubmatch(s); m != nil {
		f, err := strconv.ParseFloat(m[1], 64)
		return int(f * 1024), err == nil
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}

// checkStorage applies Fargate's limits of ephemeral storage. The 20 GiB that
// every task has cannot be asked for.
func checkStorage(s *ephemeralStorage) error {
	if s != nil && (s.SizeInGiB < 21 || s.SizeInGiB > 200) {
		return refuse("InvalidParameterException", "EphemeralStorage size should be between 21 and 200 GiB.")
	}
	return nil
}
