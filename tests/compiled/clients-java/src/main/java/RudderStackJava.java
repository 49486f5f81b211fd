import com.rudderstack.sdk.java.analytics.RudderAnalytics;
import com.rudderstack.sdk.java.analytics.Callback;
import com.rudderstack.sdk.java.analytics.messages.Message;
import com.rudderstack.sdk.java.analytics.messages.MessageBuilder;
import com.rudderstack.sdk.java.analytics.messages.PageMessage;
import com.rudderstack.sdk.java.analytics.messages.TrackMessage;
import java.util.List;
import java.util.Map;

/** RudderStack's library for Java. */
final class RudderStackJava {
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
        var analytics = RudderAnalytics.builder(task.writeKey).setDataPlaneUrl(task.host).setGZIP(true).callback(callback).build();
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
