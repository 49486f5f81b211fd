import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;

/** What has become of the messages. */
final class Outcome {
    private final CountDownLatch open;
    private final List<String> errors = new CopyOnWriteArrayList<>();

    Outcome(int messages) {
        open = new CountDownLatch(messages);
    }

    void succeeded() {
        open.countDown();
    }

    void failed(Object why) {
        errors.add(String.valueOf(why));
        open.countDown();
    }

    /** Waits until all are sent or given up, and returns the errors. */
    List<String> errors() throws InterruptedException {
        open.await();
        return errors;
    }
}
