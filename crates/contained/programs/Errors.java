import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.util.Arrays;

/** Connects to each host without blocking, over one family of addresses, and prints the host and what Java says. */
final class Errors {
    public static void main(String[] hosts) {
        for (String host : hosts) {
            try {
                connect(new InetSocketAddress(address(host), 80));
                System.out.println(host + ": open");
            } catch (Exception error) {
                System.out.println(host + ": " + error);
            }
        }
    }

    private static InetAddress address(String host) throws Exception {
        InetAddress[] all = InetAddress.getAllByName(host);
        return Arrays.stream(all).filter(one -> one instanceof Inet4Address).findFirst().orElse(all[0]);
    }

    private static void connect(InetSocketAddress address) throws Exception {
        try (SocketChannel channel = SocketChannel.open(); Selector selector = Selector.open()) {
            channel.configureBlocking(false);
            channel.register(selector, SelectionKey.OP_CONNECT);
            if (!channel.connect(address)) {
                selector.select();
                channel.finishConnect();
            }
        }
    }
}
