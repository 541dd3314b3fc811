// Connects to each host, over one family of addresses, and prints the host and what Go says.
package main

import (
	"fmt"
	"net"
	"os"
	"time"
)

func main() {
	for _, host := range os.Args[1:] {
		network := "tcp4"
		if address := net.ParseIP(host); address != nil && address.To4() == nil {
			network = "tcp6"
		}
		dialer := net.Dialer{Timeout: 30 * time.Second}
		_, err := dialer.Dial(network, net.JoinHostPort(host, "80"))
		fmt.Printf("%s: %v\n", host, err)
	}
}
