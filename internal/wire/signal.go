package wire

// signals are those that RFC 4254 (6.10) names, with Linux's numbers, which are
// the same on every processor that Fargate has.
func signals() map[string]int {
	return map[string]int{
		"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "ABRT": 6, "FPE": 8, "KILL": 9,
		"USR1": 10, "SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15,
	}
}

// SignalNumber is Linux's number of a signal named as SSH does, without SIG; 0
// for an unknown one.
func SignalNumber(name string) int { return signals()[name] }

// SignalName is SSH's name of a signal; one that SSH has no name for is called
// as RFC 4254 allows for local ones.
func SignalName(number int) string {
	for name, n := range signals() {
		if n == number {
			return name
		}
	}
	return "OTHER@fargate-driver"
}
