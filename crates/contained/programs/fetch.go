// Prints the page of a host, or why there is none. The suite builds it without C, so that it makes its system calls itself.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

func fetch(host string) error {
	stream, err := net.Dial("tcp", net.JoinHostPort(host, "80"))
	if err != nil {
		return err
	}
	defer stream.Close()
	if _, err := fmt.Fprintf(stream, "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", host); err != nil {
		return err
	}
	_, err = io.Copy(os.Stdout, stream)
	return err
}

func main() {
	if err := fetch(os.Args[1]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
