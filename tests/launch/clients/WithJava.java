// A client of EvoLink with Java's own HTTP client; it knows of no mock.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class WithJava {
  static final String API = "https://api.evolink.ai/v1";
  static final HttpClient HTTP = HttpClient.newHttpClient();

  static HttpRequest.Builder request(String url) {
    return HttpRequest.newBuilder(URI.create(url)).header("Authorization", "Bearer " + System.getenv("EVOLINK_API_KEY"));
  }

  static String field(String name, String json) {
    Matcher found = Pattern.compile("\"" + name + "\":\\[?\"([^\"]*)\"").matcher(json);
    return found.find() ? found.group(1) : "";
  }

  public static void main(String[] arguments) throws Exception {
    String body = "{\"model\":\"gemini-omni-flash-text-to-video\",\"prompt\":\"a red kite\",\"duration\":6}";
    HttpRequest submit = request(API + "/videos/generations")
        .header("Content-Type", "application/json").POST(HttpRequest.BodyPublishers.ofString(body)).build();
    String task = HTTP.send(submit, BodyHandlers.ofString()).body();
    String id = field("id", task);
    while (!field("status", task).equals("completed")) {
      Thread.sleep(50);
      task = HTTP.send(request(API + "/tasks/" + id).build(), BodyHandlers.ofString()).body();
    }
    String url = field("results", task);
    byte[] file = HTTP.send(HttpRequest.newBuilder(URI.create(url)).build(), BodyHandlers.ofByteArray()).body();
    System.out.println(url + " " + file.length);
  }
}
