import com.segment.analytics.Analytics;
import com.segment.analytics.Callback;
import com.segment.analytics.messages.Message;
import com.segment.analytics.messages.MessageBuilder;
import com.segment.analytics.messages.PageMessage;
import com.segment.analytics.messages.TrackMessage;
import java.util.List;
import java.util.Map;

/** Segment's library for Java. */
final class SegmentJava {
    static List<String> send(Task task) throws InterruptedException {
        var outcome = new Outcome(task.calls.size());
        var callback =
                new Callback() {
                    @Override
                    public void success(Message message) {
                        outcome.succeeded();
                    }

                    @Override
                    public void failure(Message message, Throwable error) {
                        outcome.failed(error);
                    }
                };
        var analytics = Analytics.builder(task.writeKey).endpoint(task.host).callback(callback).build();
        for (var call : task.calls) analytics.enqueue(message(call));
        analytics.flush();
        var errors = outcome.errors();
        analytics.shutdown();
        return errors;
    }

    private static MessageBuilder<?, ?> message(Task.Call call) {
        if (!call.type.equals("page")) return common(TrackMessage.builder(call.event).properties(call.properties), call);
        var page = PageMessage.builder(call.name).properties(call.properties);
        return common(call.category == null ? page : page.category(call.category), call);
    }

    @SuppressWarnings("unchecked")
    private static MessageBuilder<?, ?> common(MessageBuilder<?, ?> message, Task.Call call) {
        message.userId(call.userId);
        if (call.context != null) message.context(call.context);
        if (call.timestamp != null) message.timestamp(call.at());
        call.integrations.forEach((name, value) -> {
            if (value instanceof Boolean enabled) message.enableIntegration(name, enabled);
            else message.integrationOptions(name, (Map<String, ?>) value);
        });
        return message;
    }
}
