import java.time.Instant;
import java.util.Date;
import java.util.List;
import java.util.Map;

/** What is to be sent. */
final class Task {
    String library;
    String host;
    String writeKey;
    List<Call> calls;

    /** A call in the terms of the libraries. */
    static final class Call {
        String type;
        String userId;
        String event;
        String category;
        String name;
        Map<String, Object> properties;
        Map<String, Object> integrations = Map.of();
        Map<String, Object> context;
        String timestamp;

        Date at() {
            return timestamp == null ? null : Date.from(Instant.parse(timestamp));
        }
    }
}
