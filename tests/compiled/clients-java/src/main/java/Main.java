import com.google.gson.Gson;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * Makes the calls that standard input describes with the library that it names, and prints the errors that the library
 * has told of as a JSON list, once everything is sent or given up.
 */
public final class Main {
    public static void main(String[] arguments) throws Exception {
        var gson = new Gson();
        // Kotlin's library writes its log there.
        var output = System.out;
        System.setOut(new PrintStream(OutputStream.nullOutputStream()));
        Task task = gson.fromJson(new InputStreamReader(System.in, StandardCharsets.UTF_8), Task.class);
        List<String> errors =
                switch (task.library) {
                    case "segment" -> SegmentJava.send(task);
                    case "rudderstack" -> RudderStackJava.send(task);
                    case "kotlin" -> SegmentKotlin.send(task);
                    default -> throw new IllegalArgumentException("no library " + task.library);
                };
        output.println(gson.toJson(errors));
        // Threads of the libraries go on for a while.
        System.exit(0);
    }
}
