import com.segment.analytics.kotlin.core.Analytics;
import com.segment.analytics.kotlin.core.BaseEvent;
import com.segment.analytics.kotlin.core.RequestFactory;
import com.segment.analytics.kotlin.core.Settings;
import com.segment.analytics.kotlin.core.compat.ConfigurationBuilder;
import com.segment.analytics.kotlin.core.compat.JavaAnalytics;
import com.segment.analytics.kotlin.core.platform.Plugin;
import com.segment.analytics.kotlin.core.utilities.InMemoryStorageProvider;
import com.segment.analytics.kotlin.core.utilities.JsonUtils;
import java.security.SecureRandom;
import java.security.cert.X509Certificate;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509TrustManager;
import kotlinx.serialization.json.JsonObject;
import okhttp3.Interceptor;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.Response;
import okio.Buffer;
import okio.GzipSource;
import okio.Okio;

/** Segment's library for Kotlin, by its door for Java. */
final class SegmentKotlin {
    /** Seconds between its flushes; each sends again what is left. */
    private static final int FLUSH_INTERVAL = 1;

    static List<String> send(Task task) throws Exception {
        var outcome = new Outcome(task.calls.size());
        // It takes a host, and speaks nothing but https with it.
        var host = task.host.replaceFirst("^https://", "");
        var configuration =
                new ConfigurationBuilder(task.writeKey)
                        .setApplication("clients-java")
                        .setApiHost(host)
                        .setCdnHost(host)
                        .setFlushInterval(FLUSH_INTERVAL)
                        .setRequestFactory(new RequestFactory(client(outcome)))
                        .build();
        // Its files would outlive the test.
        configuration.setStorageProvider(new InMemoryStorageProvider());
        var analytics = new JavaAnalytics(configuration);
        analytics.add(new Extras(task.calls));
        for (int index = 0; index < task.calls.size(); index += 1) analytics.track(event(task.calls.get(index)), properties(task, index));
        analytics.flush();
        return outcome.errors();
    }

    /** It knows no pages: this is the name that a page's measurements have. */
    private static String event(Task.Call call) {
        if (!call.type.equals("page")) return call.event;
        return "Viewed " + (call.category == null ? "" : call.category + " ") + call.name + " Page";
    }

    private static JsonObject properties(Task task, int index) {
        var properties = new HashMap<String, Object>(task.calls.get(index).properties);
        properties.put(Extras.INDEX, index);
        return json(properties);
    }

    private static JsonObject json(Map<String, ?> map) {
        return (JsonObject) JsonUtils.toJsonElement(map);
    }

    /** Gives events what a call cannot: an application has a plugin for that, too. */
    private static final class Extras implements Plugin {
        static final String INDEX = "index";

        private final List<Task.Call> calls;
        private Analytics analytics;

        Extras(List<Task.Call> calls) {
            this.calls = calls;
        }

        @Override
        public Plugin.Type getType() {
            return Plugin.Type.Enrichment;
        }

        @Override
        public Analytics getAnalytics() {
            return analytics;
        }

        @Override
        public void setAnalytics(Analytics analytics) {
            this.analytics = analytics;
        }

        @Override
        public void setup(Analytics analytics) {
            this.analytics = analytics;
        }

        @Override
        public void update(Settings settings, Plugin.UpdateType type) {}

        @Override
        public void shutdown() {}

        @Override
        public BaseEvent execute(BaseEvent event) {
            var index = JsonUtils.getInt(((com.segment.analytics.kotlin.core.TrackEvent) event).getProperties(), INDEX);
            var call = calls.get(index);
            event.setUserId(call.userId);
            event.setIntegrations(json(call.integrations));
            if (call.timestamp != null) event.setTimestamp(call.timestamp);
            if (call.context != null) {
                var context = new HashMap<String, Object>(event.getContext());
                context.putAll(json(call.context));
                event.setContext(new JsonObject((Map) context));
            }
            return event;
        }
    }

    /** A client that takes the test's certificate, and sees what becomes of the events: the library tells nobody. */
    private static OkHttpClient client(Outcome outcome) throws Exception {
        var anyone =
                new X509TrustManager() {
                    @Override
                    public void checkClientTrusted(X509Certificate[] chain, String type) {}

                    @Override
                    public void checkServerTrusted(X509Certificate[] chain, String type) {}

                    @Override
                    public X509Certificate[] getAcceptedIssuers() {
                        return new X509Certificate[0];
                    }
                };
        var tls = SSLContext.getInstance("TLS");
        tls.init(null, new TrustManager[] {anyone}, new SecureRandom());
        Interceptor watch =
                chain -> {
                    Response response = chain.proceed(chain.request());
                    int events = events(chain.request());
                    for (int event = 0; event < events; event += 1) {
                        // With a 429 or a server's error it keeps them.
                        if (response.isSuccessful()) outcome.succeeded();
                        else if (response.code() < 500 && response.code() != 429) outcome.failed(response);
                    }
                    return response;
                };
        return new OkHttpClient.Builder()
                .sslSocketFactory(tls.getSocketFactory(), anyone)
                .hostnameVerifier((name, session) -> true)
                .addInterceptor(watch)
                .build();
    }

    /** How many events a request holds. */
    private static int events(Request request) throws java.io.IOException {
        if (request.body() == null) return 0;
        var body = new Buffer();
        request.body().writeTo(body);
        var text = Okio.buffer(new GzipSource(body)).readUtf8();
        return text.split("\"messageId\"", -1).length - 1;
    }
}
