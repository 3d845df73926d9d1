package com.example.harbour;

import org.springframework.beans.factory.annotation.Value;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** Answers with a greeting and with what exactly is running. */
@RestController
class GreetingController {
    /** Change this line, commit and push: the pipeline does the rest. */
    static final String GREETING = "Hello from the harbour";

    private final Greeting greeting;

    GreetingController(@Value("${app.version}") String version, @Value("${app.commit}") String commit) {
        greeting = new Greeting(GREETING, version, commit);
    }

    @GetMapping("/")
    Greeting greet() {
        return greeting;
    }

    record Greeting(String greeting, String version, String commit) {}
}
