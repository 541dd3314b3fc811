import java.io.IOException;
import java.net.URI;

/** Prints the page of a host, or why there is none. */
final class Fetch {
    public static void main(String[] arguments) {
        try (var page = URI.create("http://" + arguments[0] + "/").toURL().openStream()) {
            page.transferTo(System.out);
            System.out.flush();
        } catch (IOException error) {
            System.out.println(error);
            System.exit(1);
        }
    }
}
